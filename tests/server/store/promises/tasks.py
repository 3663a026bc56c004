"""What is kept of tasks."""

from inferry.server.errors import TaskNotFoundError
from inferry.server.store import EVENTS_KEPT, Store
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Expire,
    Fail,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.record import AttemptOutcome, Outcome
from tests.server.situations import SPEC
from tests.server.store.samples import (
    NOW,
    change,
    claim,
    dispatched,
    do,
    record_of,
    waiting,
)

LOST = Release("lost", AttemptOutcome.AMBIGUOUS, NOW + 1_000)


class TaskConformance:
    async def test_a_late_result_is_kept_beside_the_details(self, store: Store) -> None:
        expired = Expire("too slow", details=b'{"phase":"attempt"}')
        await do(store, dispatched("task_1"), change("task_1", expired))
        assert await store.outcome("task_1") == Outcome(details=b'{"phase":"attempt"}')
        await do(store, change("task_1", Succeed(b"42", b"digest")))
        outcome = Outcome(details=b'{"phase":"attempt"}', late_result=b"42")
        assert await store.outcome("task_1") == outcome

    async def test_a_retry_takes_the_outcome_away(self, store: Store) -> None:
        failed = Fail("broken", "INTERNAL_ERROR", b'{"frame":1}')
        await do(store, dispatched("task_1"), change("task_1", failed), change("task_1", Retry()))
        assert await store.outcome("task_1") == Outcome()
        await do(store, claim("task_1"), change("task_1", Succeed(b'"done"')))
        assert await store.outcome("task_1") == Outcome(result=b'"done"')
        assert [attempt.number for attempt in await store.attempts("task_1")] == [1, 2]

    async def test_events_are_read_in_steps(self, store: Store) -> None:
        progress = [change("task_1", Progress(float(n))) for n in range(5)]
        await do(store, dispatched("task_1"), *progress, dispatched("task_2"))
        assert [event.seq for event in await store.events("task_1", 0, 100)] == list(range(1, 8))
        assert [event.seq for event in await store.events("task_1", 2, 3)] == [3, 4, 5]
        assert await store.events("task_1", 7, 3) == []

    async def test_only_the_last_events_are_kept(self, store: Store) -> None:
        reports = [change("task_1", Progress(message=str(n))) for n in range(EVENTS_KEPT)]
        await do(store, dispatched("task_1"), *reports, dispatched("task_2"))
        events = await store.events("task_1", 0, 2 * EVENTS_KEPT)
        assert [event.seq for event in events] == list(range(3, EVENTS_KEPT + 3))
        assert len(await store.events("task_2", 0, 10)) == 2

    async def test_the_longest_expired_come_first(self, store: Store) -> None:
        await do(
            store,
            waiting("task_late", queue_timeout_ms=300),
            waiting("task_never"),
            waiting("task_soon", queue_timeout_ms=100),
            waiting("task_done", queue_timeout_ms=200),
            change("task_done", Cancel()),
        )
        assert await store.expired(NOW + 99, 10) == []
        assert await store.expired(NOW + 300, 10) == ["task_soon", "task_late"]
        assert await store.expired(NOW + 300, 1) == ["task_soon"]

    async def test_held_are_those_with_an_open_attempt(self, store: Store) -> None:
        await do(
            store,
            waiting("task_waiting", type="other"),
            dispatched("task_dispatched"),
            dispatched("task_processing"),
            change("task_processing", Accept()),
            dispatched("task_done"),
            change("task_done", Succeed(b"1")),
            dispatched("task_released"),
            change("task_released", LOST),
        )
        held = await store.running()
        assert {record.spec.id for record in held} == {"task_dispatched", "task_processing"}
        assert await record_of(store, "task_processing") in held

    async def test_another_tenants_task_is_not_there(self, store: Store) -> None:
        await do(store, dispatched("task_held"), waiting("task_waiting"))
        for task_id in ("task_held", "task_waiting"):
            record = await record_of(store, task_id)
            assert await store.task(task_id, SPEC.tenant) == record
            assert await store.task(task_id, "other") is None
            (refusal,) = await store.commit([change(task_id, Cancel(), tenant="other")])
            assert isinstance(refusal, TaskNotFoundError)
            assert await record_of(store, task_id) == record
            await do(store, change(task_id, Cancel(), tenant=SPEC.tenant))
