"""What a purge drops, and what stays of it."""

import pytest

from inferry.server.errors import NotFoundError, PurgedError, TaskNotFoundError
from inferry.server.store import Store, TaskFilter
from inferry.server.store.operations import EndRetention, Purge
from inferry.server.task.inputs import Cancel, Retry, Succeed
from inferry.server.task.record import Outcome
from tests.server.situations import RULES, SPEC
from tests.server.store.samples import (
    NOW,
    PAYLOAD,
    change,
    dispatched,
    do,
    record_of,
    waiting,
)


class PurgeConformance:
    async def test_a_purge_drops_what_was_kept_long_enough(self, store: Store) -> None:
        await do(
            store,
            *(dispatched(f"task_{n}", result_ttl_ms=100 * n) for n in (1, 2, 3)),
            *(change(f"task_{n}", Succeed(b"1")) for n in (1, 2, 3)),
            dispatched("task_open"),
        )
        assert await store.commit([Purge(NOW + 200, 10, 1_000)]) == [2]
        listed = await store.tasks(TaskFilter(), None, 10)
        assert [record.spec.id for _, record in listed] == ["task_open", "task_3"]
        assert await store.outcome("task_1") == Outcome()
        assert await store.outcome("task_3") == Outcome(result=b"1")
        assert await store.events("task_1", 0, 10) == []
        assert await store.attempts("task_1") == []
        with pytest.raises(NotFoundError):
            await store.payload("task_1")
        assert await store.payload("task_3") == PAYLOAD

    async def test_a_purge_keeps_to_its_limit_oldest_first(self, store: Store) -> None:
        tasks = [f"task_{n}" for n in range(5)]
        await do(store, *map(waiting, tasks), *(change(task, Cancel()) for task in tasks))
        late = NOW + RULES.keep_done_ms
        purge = Purge(late, 3, 1_000)
        assert await store.commit([purge, purge, purge]) == [3, 2, 0]

    async def test_a_purged_task_is_gone_to_its_tenant_and_to_nobody_else(
        self, store: Store
    ) -> None:
        purge = Purge(NOW + RULES.keep_done_ms, 10, 1_000)
        await do(store, waiting("task_1"), change("task_1", Cancel()), purge)
        for tenant in (None, SPEC.tenant):
            with pytest.raises(PurgedError):
                await store.task("task_1", tenant)
            (result,) = await store.commit([change("task_1", Retry(), tenant=tenant)])
            assert isinstance(result, PurgedError)
        assert await store.task("task_1", "other") is None
        (result,) = await store.commit([change("task_1", Retry(), tenant="other")])
        assert isinstance(result, TaskNotFoundError)

    async def test_a_purged_task_is_not_found_in_the_end(self, store: Store) -> None:
        late = NOW + RULES.keep_done_ms
        await do(store, waiting("task_1"), change("task_1", Cancel()), Purge(late, 10, 1_000))
        await do(store, Purge(late + 999, 10, 1_000))
        with pytest.raises(PurgedError):
            await store.task("task_1")
        await do(store, Purge(late + 1_000, 10, 1_000))
        assert await store.task("task_1") is None

    async def test_what_is_to_go_before_its_time_goes_before_all_others(self, store: Store) -> None:
        tasks = [f"task_{n}" for n in range(4)]
        await do(store, *map(waiting, tasks), *(change(task, Cancel()) for task in tasks[:3]))
        late = NOW + RULES.keep_done_ms
        # The open one stays, whoever names it; so does one that nobody names.
        ended = EndRetention([("task_2", 2), ("task_1", 2), ("task_3", 1), ("task_none", 1)])
        assert await store.commit([ended, ended]) == [2, 0]
        assert await store.commit([Purge(late, 2, 1_000)]) == [2]
        listed = await store.tasks(TaskFilter(), None, 10)
        assert [record.spec.id for _, record in listed] == ["task_3", "task_0"]
        with pytest.raises(PurgedError):
            await store.task("task_1")

    async def test_what_was_started_again_since_it_was_seen_keeps_its_time(
        self, store: Store
    ) -> None:
        tasks = ["task_1", "task_2", "task_3"]
        await do(store, *map(waiting, tasks), *(change(task, Cancel()) for task in tasks))
        ended = EndRetention([(task, (await record_of(store, task)).seq) for task in tasks])
        again = change("task_1", Retry()), change("task_2", Retry()), change("task_2", Cancel())
        # The second has ended again by now: nobody has seen how.
        assert (await store.commit([*again, ended]))[-1] == 1
        assert await store.commit([Purge(NOW, 10, 1_000)]) == [1]
        listed = await store.tasks(TaskFilter(), None, 10)
        assert [record.spec.id for _, record in listed] == ["task_2", "task_1"]
