"""What a store promises of requests that have a name."""

from inferry.server.errors import PurgedError, QueueFullError, RequestReusedError
from inferry.server.store import Store
from inferry.server.store.operations import Insert, Purge, Replayed, RequestKey
from inferry.server.task.inputs import Succeed
from inferry.server.task.record import Status
from tests.server.situations import RULES
from tests.server.store.samples import NOW, change, dispatched, do, waiting

DAY_MS = 86_400_000
KEY = RequestKey("request-1", b"digest", NOW + DAY_MS)


def named(given: Insert, key: RequestKey = KEY) -> Insert:
    return given._replace(key=key)


class RequestIdConformance:
    async def test_the_same_request_again_gives_the_task_as_it_is_now(self, store: Store) -> None:
        await do(store, named(dispatched("task_1")))
        await do(store, change("task_1", Succeed(b"1")))
        (result,) = await store.commit([named(dispatched("task_2"))])
        assert isinstance(result, Replayed)
        assert (result.record.spec.id, result.record.status) == ("task_1", Status.COMPLETED)
        assert await store.task("task_2") is None

    async def test_two_at_once_create_one_task(self, store: Store) -> None:
        first, second = await store.commit([named(waiting("task_1")), named(waiting("task_2"))])
        assert first == waiting("task_1").record
        assert second == Replayed(waiting("task_1").record)

    async def test_another_request_under_the_same_name_is_refused(self, store: Store) -> None:
        await do(store, named(waiting("task_1")))
        other = KEY._replace(digest=b"other")
        (result,) = await store.commit([named(waiting("task_2"), other)])
        assert isinstance(result, RequestReusedError)
        assert result.details == {"taskId": "task_1"}

    async def test_a_refused_task_keeps_no_name_but_a_repeated_request_is_none(
        self, store: Store
    ) -> None:
        full = QueueFullError("full")
        given = named(waiting("task_1"))
        refused = given._replace(room=lambda *_: full)
        assert await store.commit([refused, given, refused]) == [
            full, given.record, Replayed(given.record),
        ]  # fmt: skip

    async def test_a_name_belongs_to_its_tenant(self, store: Store) -> None:
        await do(store, named(waiting("task_1")), named(waiting("task_2", tenant="other")))
        assert await store.task("task_2") is not None

    async def test_a_name_is_forgotten_when_its_time_is_over(self, store: Store) -> None:
        await do(store, named(waiting("task_1", created_ms=NOW)))
        later = named(waiting("task_2", created_ms=NOW + DAY_MS), KEY._replace(until_ms=2 * NOW))
        await do(store, later)
        assert await store.task("task_2") is not None

    async def test_a_name_outlives_its_task_as_gone(self, store: Store) -> None:
        await do(store, named(dispatched("task_1", result_ttl_ms=1)))
        await do(store, change("task_1", Succeed(b"1")))
        for tombstone_ms in (1, 0):
            await do(store, Purge(NOW + 10 - tombstone_ms, 100, tombstone_ms))
            (result,) = await store.commit([named(waiting("task_2"))])
            assert isinstance(result, PurgedError)

    async def test_a_purge_forgets_old_names(self, store: Store) -> None:
        await do(store, named(waiting("task_1")))
        await do(store, Purge(KEY.until_ms, 100, RULES.keep_done_ms))
        # Its time is over, so the clock of the request may even go back.
        (result,) = await store.commit([named(waiting("task_2"))])
        assert result == waiting("task_2").record
