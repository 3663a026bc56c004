"""The use case of creating a task and, if its creator waits for it, seeing its end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from inferry.server.engine.creator import Creator, NewTask
from inferry.server.engine.reader import Reader
from inferry.server.engine.tasks import Engine
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


#: Is told of a task that was created, before its end is waited for.
Created = Callable[[TaskRecord], Awaitable[None]]


class Submitter:
    """Creates tasks for those who may wait for their ends.

    Args:
        creator: Creates them.
        reader: Tells how they end.
        engine: Takes back what nobody waits for any more.
    """

    def __init__(self, creator: Creator, reader: Reader, engine: Engine) -> None:
        self._creator = creator
        self._reader = reader
        self._engine = engine

    async def submit(self, new: NewTask, created: Created | None = None) -> Submitted:
        """Creates a task; unless it is asynchronous this returns when it has ended.

        Args:
            new: The task.
            created: Is told of it if its end is waited for; None for nobody.

        Raises:
            InferryError: As ``Creator.create`` and ``Reader.wait`` do.
        """
        if new.spec.asynchronous:
            made = await self._creator.create(new)
            if not isinstance(made, Replayed):
                return Submitted(made, Outcome())
            return Submitted(*await self._reader.ended(made.record), replayed=True)
        try:
            return await self._see_through(new, created)
        except asyncio.CancelledError:
            # Whoever named the request may ask again, and is to find the task.
            if new.key is None:
                self._engine.abandon(new.spec.id)
            raise

    async def _see_through(self, new: NewTask, created: Created | None) -> Submitted:
        spec, reader = new.spec, self._reader
        # Listening before the task exists: its end is never missed, and never looked up.
        with reader.listen(spec.id) as signal:
            made = await self._creator.create(new)
            if not isinstance(made, Replayed):
                if created is not None:
                    await created(made)
                record = await signal.final(made)
                if signal.outcome is not None:
                    return Submitted(record, signal.outcome)
                # It ended at another replica, or with nothing.
                return Submitted(*await reader.ended(record))
        if created is not None:
            await created(made.record)
        record = await reader.wait(made.record.spec.id, spec.tenant, None)
        return Submitted(*await reader.ended(record), replayed=True)
