"""Operations to feed a store with."""

from typing import Any

from inferry.server.errors import InferryError
from inferry.server.fleet.record import ServerRecord
from inferry.server.store import Store
from inferry.server.store.operations import Change, ClaimTasks, Insert, Operation
from inferry.server.task.inputs import Claim, Input
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import CREATED_MS, RULES, SPEC

NOW = CREATED_MS
PAYLOAD = b'{"text":"hello"}'
SERVER = ServerRecord(
    id="srv_1",
    url="http://localhost:8080",
    name="gpu-1",
    capabilities=frozenset({"echo", "gpu"}),
    max_concurrent=10,
    metadata=b'{"gpu":"A100"}',
    draining=False,
    private_allowed=True,
    created_ms=NOW,
    updated_ms=NOW,
)


def waiting(task_id: str, not_before_ms: int = 0, **spec: Any) -> Insert:
    record, created = create(SPEC._replace(id=task_id, **spec), not_before_ms)
    return Insert(record, PAYLOAD, (created,))


def dispatched(task_id: str, server_id: str = "srv_1", **spec: Any) -> Insert:
    given = waiting(task_id, **spec)
    return given._replace(claimed=apply(given.record, Claim(server_id), NOW, RULES))


def added(given: Insert) -> TaskRecord:
    """Tells the record that an insertion leaves if no type is paused."""
    return given.record if given.claimed is None else given.claimed.record


def change(task_id: str, given: Input, now_ms: int = NOW, tenant: str | None = None) -> Change:
    return Change(task_id, lambda record: apply(record, given, now_ms, RULES), tenant)


def claim(*task_ids: str, now_ms: int = NOW, server_id: str = "srv_1") -> ClaimTasks:
    return ClaimTasks(
        task_ids, now_ms, lambda record: apply(record, Claim(server_id), now_ms, RULES)
    )


async def claimed_ids(store: Store, given: ClaimTasks) -> list[str]:
    (result,) = await store.commit([given])
    assert isinstance(result, list)
    return [claimed.transition.record.spec.id for claimed in result]


async def do(store: Store, *operations: Operation) -> None:
    """Commits operations none of which may be refused."""
    for result in await store.commit(operations):
        if isinstance(result, InferryError):
            raise result


async def record_of(store: Store, task_id: str) -> TaskRecord:
    record = await store.task(task_id)
    assert record is not None
    return record


def refuse(_: TaskRecord) -> Transition:
    raise InferryError("no")
