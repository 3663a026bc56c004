"""The use case of creating a task and, if its creator waits for it, seeing its end."""

from dataclasses import dataclass

from inferry.server.engine.reader import Reader
from inferry.server.engine.tasks import Engine
from inferry.server.store.operations import Replayed, RequestKey
from inferry.server.task.record import Outcome, TaskRecord, TaskSpec


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a creation."""

    #: The task: new, or final if its creator waited.
    record: TaskRecord
    #: What it ended with; empty while it has not.
    outcome: Outcome
    #: An earlier request with the same key created it.
    replayed: bool = False


async def submit(
    engine: Engine,
    reader: Reader,
    spec: TaskSpec,
    payload: bytes,
    not_before_ms: int,
    key: RequestKey | None,
) -> Submitted:
    """Creates a task; unless it is asynchronous this returns when it has ended.

    Raises:
        InferryError: As ``Engine.create`` and ``Reader.wait`` do.
    """
    if spec.asynchronous:
        created = await engine.create(spec, payload, not_before_ms, key)
        if not isinstance(created, Replayed):
            return Submitted(created, Outcome())
        return Submitted(created.record, await reader.outcome(created.record), replayed=True)
    # Listening before the task exists: its end is never missed, and never looked up.
    with reader.listen(spec.id) as signal:
        created = await engine.create(spec, payload, not_before_ms, key)
        if not isinstance(created, Replayed):
            record = await signal.final(created)
            return Submitted(record, signal.outcome or Outcome())
    record = await reader.wait(created.record.spec.id, spec.tenant, None)
    return Submitted(record, await reader.outcome(record), replayed=True)
