"""The use case of creating a task and, if its creator waits for it, seeing its end."""

from typing import NamedTuple

from inferry.server.engine.creator import Creator, NewTask
from inferry.server.engine.reader import Reader
from inferry.server.store.operations import Replayed
from inferry.server.task.record import Outcome, TaskRecord


class Submitted(NamedTuple):
    """What became of a creation."""

    #: The task: new, or final if its creator waited.
    record: TaskRecord
    #: What it ended with; empty while it has not.
    outcome: Outcome
    #: An earlier request with the same key created it.
    replayed: bool = False


async def submit(creator: Creator, reader: Reader, new: NewTask) -> Submitted:
    """Creates a task; unless it is asynchronous this returns when it has ended.

    Raises:
        InferryError: As ``Creator.create`` and ``Reader.wait`` do.
    """
    spec = new.spec
    if spec.asynchronous:
        created = await creator.create(new)
        if not isinstance(created, Replayed):
            return Submitted(created, Outcome())
        return Submitted(*await reader.ended(created.record), replayed=True)
    # Listening before the task exists: its end is never missed, and never looked up.
    with reader.listen(spec.id) as signal:
        created = await creator.create(new)
        if not isinstance(created, Replayed):
            record = await signal.final(created)
            if signal.outcome is not None:
                return Submitted(record, signal.outcome)
            # It ended at another replica, or with nothing.
            return Submitted(*await reader.ended(record))
    record = await reader.wait(created.record.spec.id, spec.tenant, None)
    return Submitted(*await reader.ended(record), replayed=True)
