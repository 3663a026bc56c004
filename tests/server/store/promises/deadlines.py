"""Deadlines: the first of them, those that are put off, and the time that a store remembers."""

import pytest

from inferry.server.errors import InferryError
from inferry.server.store import Store
from inferry.server.store.operations import Postpone, Purge
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Expire,
    Input,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.record import AttemptOutcome
from tests.server.situations import RULES, SPEC
from tests.server.store.samples import NOW, change, claim, dispatched, do, record_of, waiting

REFUSED = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)
QUEUE_MS = SPEC.queue_timeout_ms
RUN_MS = SPEC.timeout_ms + RULES.grace_ms
TOTAL_MS = SPEC.total_timeout_ms


class DeadlineConformance:
    async def test_the_first_deadline_is_known(self, store: Store) -> None:
        assert await store.first_deadline_ms() is None
        await do(store, waiting("task_1"), waiting("task_2", queue_timeout_ms=10))
        assert await store.first_deadline_ms() == NOW + 10
        await do(store, change("task_2", Cancel()))
        assert await store.first_deadline_ms() == NOW + QUEUE_MS
        await do(store, change("task_1", Cancel()))
        assert await store.first_deadline_ms() is None

    @pytest.mark.parametrize(
        ("until_ms", "queue_ms", "total_ms"),
        [
            (QUEUE_MS, QUEUE_MS, TOTAL_MS),
            (QUEUE_MS + 1, QUEUE_MS + 1, TOTAL_MS),
            (TOTAL_MS + 1, TOTAL_MS + 1, TOTAL_MS + 1),
        ],
    )
    async def test_a_wait_that_is_put_off(
        self, store: Store, until_ms: int, queue_ms: int, total_ms: int
    ) -> None:
        await do(store, waiting("task_1"))
        before = await record_of(store, "task_1")
        moved = int(until_ms > QUEUE_MS)
        assert await store.commit([Postpone(NOW + until_ms, 500)]) == [moved]
        after = await record_of(store, "task_1")
        assert after == before._replace(
            deadline_ms=NOW + queue_ms,
            queue_deadline_ms=NOW + queue_ms,
            total_deadline_ms=NOW + total_ms,
        )

    async def test_an_attempt_that_is_put_off(self, store: Store) -> None:
        until_ms = NOW + RUN_MS + 1
        await do(store, dispatched("task_1"), change("task_1", Accept()), Postpone(until_ms, 500))
        await do(store, change("task_1", Progress(1.0)))
        record = await record_of(store, "task_1")
        assert (record.deadline_ms, record.attempt_deadline_ms) == (until_ms, until_ms)
        assert record.total_deadline_ms == NOW + TOTAL_MS

    async def test_silence_that_is_put_off_leaves_the_attempt_as_it_is(self, store: Store) -> None:
        await do(store, dispatched("task_1", silence_timeout_ms=10), Postpone(NOW + 100, 500))
        record = await record_of(store, "task_1")
        assert (record.deadline_ms, record.attempt_deadline_ms) == (NOW + 100, NOW + RUN_MS)

    async def test_a_wait_that_was_put_off_goes_on_when_a_server_refuses(
        self, store: Store
    ) -> None:
        until_ms = NOW + QUEUE_MS + 1_000
        await do(store, waiting("task_1"), Postpone(until_ms, 500))
        late_ms = until_ms - 1
        await do(store, claim("task_1", now_ms=late_ms), change("task_1", REFUSED, late_ms))
        assert (await record_of(store, "task_1")).deadline_ms == until_ms

    async def test_the_wait_of_what_runs_is_put_off_for_when_its_server_gives_it_back(
        self, store: Store
    ) -> None:
        until_ms = NOW + QUEUE_MS + 1_000
        await do(store, dispatched("task_1"), Postpone(until_ms, 500))
        await do(store, change("task_1", REFUSED, until_ms - 1))
        assert (await record_of(store, "task_1")).deadline_ms == until_ms

    async def test_what_has_ended_has_nothing_to_put_off(self, store: Store) -> None:
        await do(store, waiting("task_1"), change("task_1", Cancel()))
        before = await record_of(store, "task_1")
        assert await store.commit([Postpone(NOW + TOTAL_MS, 500)]) == [0]
        assert await record_of(store, "task_1") == before

    async def test_what_was_stopped_lately_is_known_unless_its_server_said_so(
        self, store: Store
    ) -> None:
        endings: dict[str, Input] = {
            "task_cancelled": Cancel("enough"),
            "task_expired": Expire("too slow"),
            "task_completed": Succeed(b"1"),
            "task_cancelled_by_its_server": Cancel("mine", digest=b"report"),
        }
        for task_id, ending in endings.items():
            await do(store, dispatched(task_id), change(task_id, ending, NOW + 10))
        await do(store, waiting("task_that_waited"), change("task_that_waited", Cancel("", b"")))
        cancelled, expired = sorted(await store.stopped(NOW + 9))
        assert (cancelled[0], expired[0]) == ("task_cancelled", "task_expired")
        assert [cancelled[1]] == await store.attempts("task_cancelled")
        assert await store.stopped(NOW + 10) == []

    async def test_a_stopped_attempt_stays_so_when_its_task_goes_on(self, store: Store) -> None:
        await do(store, dispatched("task_1"), change("task_1", Cancel(), NOW + 10))
        await do(store, change("task_1", Retry(), NOW + 20), claim("task_1", now_ms=NOW + 30))
        ((task_id, stopped),) = await store.stopped(NOW)
        assert (task_id, stopped.number, stopped.ended_ms) == ("task_1", 1, NOW + 10)
        await do(store, change("task_1", Succeed(b"1", b"report"), NOW + 40))
        assert len(await store.stopped(NOW)) == 1

    async def test_a_late_result_ends_what_was_stopped(self, store: Store) -> None:
        await do(store, dispatched("task_1"), change("task_1", Expire("too slow")))
        assert len(await store.stopped(NOW - 1)) == 1
        await do(store, change("task_1", Succeed(b"1", b"report")))
        assert await store.stopped(NOW - 1) == []

    async def test_the_latest_time_is_remembered_to_a_second(self, store: Store) -> None:
        assert await store.latest_ms() == 0
        await do(store, dispatched("task_1"))
        assert await store.latest_ms() == NOW
        for after_ms in range(0, 5_000, 300):
            await do(store, change("task_1", Progress(1.0), NOW + after_ms))
            assert NOW + after_ms - 1_000 < await store.latest_ms() <= NOW + after_ms
        await do(store, Purge(NOW + 60_000, 1, 1_000))
        assert await store.latest_ms() == NOW + 60_000

    async def test_the_latest_time_never_goes_back(self, store: Store) -> None:
        await do(store, waiting("task_1", created_ms=NOW + 60_000), waiting("task_2"))
        await do(store, Purge(NOW, 1, 1_000))
        assert await store.latest_ms() == NOW + 60_000

    async def test_the_time_of_what_was_rolled_back_is_not_remembered(self, store: Store) -> None:
        await do(store, dispatched("task_1"))
        (refusal,) = await store.commit([waiting("task_1", created_ms=NOW + 60_000)])
        assert isinstance(refusal, InferryError)
        assert await store.latest_ms() == NOW
        await do(store, waiting("task_2", created_ms=NOW + 60_000))
        assert await store.latest_ms() == NOW + 60_000
