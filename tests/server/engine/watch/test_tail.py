"""What other gateways log is read on, told in the order of causes, and handed on once."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from structlog.testing import capture_logs

from inferry.server.engine.watch import tail as module
from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.tail import Tail
from inferry.server.engine.watch.watcher import Watcher
from inferry.server.store import Store
from inferry.server.store.operations import Logged
from inferry.server.task.record import Outcome
from tests.server.engine.watch.shared_log import SharedLog, SharedStore

Named = list[tuple[str, int]]


def names(logged: list[Logged]) -> Named:
    return [(one.event.task_id, one.event.seq) for one in logged]


class Gateway:
    """One of those that share a log."""

    def __init__(self, log: SharedLog) -> None:
        self.log, self.store, self.feed = log, SharedStore(log), Feed(100)
        self.heard: list[Logged] = []
        self.hears = asyncio.Event()
        self.missed = 0
        self._count = 0
        self.shared = cast("Store", self.store)
        self.tail = Tail(self.shared, self.feed, self._hear, self._miss, 1_000.0)

    async def load(self) -> "Gateway":
        await self.feed.load(self.shared)
        return self

    def commit(self, *tasks: str) -> list[Logged]:
        """Commits an event of each, in this order; returns what it has yet to hear of."""
        batch = self.log.begin(self.store.epoch.number, self._count, tasks)
        self._count += len(tasks)
        self.log.commit(batch)
        return [one for _, one in batch.events]

    def watcher(self) -> Watcher:
        return Watcher(self.feed, self.shared, Interest("acme"), by_id=False)

    def _hear(self, logged: Sequence[Logged]) -> None:
        self.heard += logged
        self.hears.set()

    async def _miss(self) -> None:
        self.missed += 1


@pytest.fixture
async def pair() -> tuple[Gateway, Gateway]:
    log = SharedLog()
    return await Gateway(log).load(), await Gateway(log).load()


async def told(watcher: Watcher) -> Named:
    """Reads what there is."""
    found: list[Logged] = []
    while True:
        page = await watcher.read()
        assert page is not None
        found += page
        if not (watcher._behind or watcher._noted):
            return names(found)


async def test_all_that_others_did_is_read_in_pages_and_handed_on_once(
    pair: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    first, second = pair
    with second.watcher().listening() as watcher:
        second.feed.take(second.commit("task_9"))
        for number in range(4):
            first.commit(f"task_{number}", "task_9")
        for _ in range(2):
            await second.tail.run_once()
        wanted = [one for n in range(4) for one in ((f"task_{n}", 1), ("task_9", n + 2))]
        assert names(second.heard) == wanted
        assert await told(watcher) == [("task_9", 1), *wanted]


async def test_an_own_event_waits_for_the_one_before_it_and_asks_for_it(
    pair: tuple[Gateway, Gateway],
) -> None:
    first, second = pair
    with second.watcher().listening() as watcher:
        first.commit("task_1")
        own = [*second.commit("task_2", "task_1"), *second.commit("task_3")]
        second.feed.take(own[:2])
        second.feed.take(own[2:])
        assert await told(watcher) == [("task_2", 1)]
        second.tail.start()
        try:
            await asyncio.wait_for(second.hears.wait(), 10)
        finally:
            await second.tail.stop()
        assert await told(watcher) == [("task_1", 1), ("task_1", 2), ("task_3", 1)]
        assert names(second.heard) == [("task_1", 1)]


async def test_own_events_in_the_log_are_told_in_their_place_with_all_that_is_known_of_them(
    pair: tuple[Gateway, Gateway],
) -> None:
    """Others' events may follow on them: they come between those that wait, and once."""
    first, second = pair
    with second.watcher().listening() as watcher:
        first.commit("task_1")
        own = second.commit("task_1", "task_2")
        first.commit("task_1", "task_2")
        own += second.commit("task_2", "task_1", "task_3")
        ended = [one._replace(outcome=Outcome(result=b"1")) for one in own[:4]]
        second.feed.take(ended)
        await second.tail.run_once()
        second.feed.take(own[4:])
        found = list(await watcher.read() or [])
        assert names(found) == [
            *(("task_1", 1), ("task_1", 2), ("task_2", 1), ("task_1", 3), ("task_2", 2)),
            *(("task_2", 3), ("task_1", 4), ("task_3", 1)),
        ]
        assert second.feed.last == second.feed._arrivals.start + 8
        assert second.feed._held == ()


async def test_news_are_read_at_once(pair: tuple[Gateway, Gateway]) -> None:
    first, second = pair
    second.tail.start()
    try:
        # It has found nothing, and would look again in a quarter of an hour.
        await asyncio.sleep(0.01)
        first.commit("task_1")
        second.store.news.set()
        await asyncio.wait_for(second.hears.wait(), 10)
    finally:
        await second.tail.stop()
    assert names(second.heard) == [("task_1", 1)]


async def test_a_store_that_cannot_be_read_is_read_again_and_said_once(
    pair: tuple[Gateway, Gateway],
) -> None:
    first, second = pair
    with capture_logs() as logs:
        second.store.broken = True
        first.commit("task_1")
        for _ in range(3):
            await second.tail.run_once()
        assert [entry["error"] for entry in logs] == ["the network is away"]
        second.store.broken = False
        await second.tail.run_once()
        assert names(second.heard) == [("task_1", 1)]
        second.store.broken = True
        await second.tail.run_once()
        assert len(logs) == 2


async def test_what_was_dropped_before_it_was_read_makes_all_watchers_begin_anew(
    pair: tuple[Gateway, Gateway],
) -> None:
    first, second = pair
    with second.watcher().listening() as watcher:
        second.feed.take(second.commit("task_2"))
        assert await told(watcher) == [("task_2", 1)]
        first.commit("task_1", "task_2")
        waiting = second.commit("task_2")
        second.feed.take(waiting)
        first.log.dropped[first.store.epoch.number] = 1
        await second.tail.run_once()
        assert second.missed == 1
        assert await watcher.read() is None
        assert second.feed._held == ()
        watcher.go_on(second.feed.vector)
        second.feed.take(second.commit("task_3"))
        first.commit("task_1")
        await second.tail.run_once()
        assert await told(watcher) == [("task_3", 1), ("task_1", 2)]
        assert names(second.heard) == [("task_1", 2)]


async def test_a_gateway_that_begins_anew_with_another_epoch_goes_on_telling(
    pair: tuple[Gateway, Gateway],
) -> None:
    first, second = pair
    with second.watcher().listening() as watcher:
        first.commit("task_1")
        second.feed.take(second.commit("task_2", "task_1"))
        assert await told(watcher) == [("task_2", 1)]
        second.log.end(second.store.epoch.number)
        second.store.epoch, second._count = second.log.join(), 0
        await second.feed.load(second.shared)
        second.feed.take(second.commit("task_2", "task_3"))
        first.commit("task_3")
        await second.tail.run_once()
        assert sorted(await told(watcher)) == [
            *(("task_1", 1), ("task_1", 2), ("task_2", 2), ("task_3", 1), ("task_3", 2)),
        ]
        assert second.feed.cursors.read(second.feed.cursors.write(watcher.vector)) == {1: 2, 3: 2}
