"""Watching tasks that go from one gateway to another: for each store that several may open."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from random import Random

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.many import ManyTasks
from inferry.server.engine.watch.tail import Tail
from inferry.server.engine.watch.vectors import before
from inferry.server.store import Store
from inferry.server.task.inputs import Progress, Succeed
from tests.server.store.samples import change, dispatched, do, record_of

TASKS, REPORTS, AT_ONCE, KILLS = 1_000, 6, 20, 50
#: Comes last of all.
LAST = "task_last"


async def nothing() -> None:
    """Does nothing."""


@asynccontextmanager
async def feed_of(store: Store) -> AsyncIterator[Feed]:
    """Runs the feed of one gateway."""
    feed = Feed(200)
    store.listener = feed.take
    await feed.load(store)
    tail = Tail(store, feed, len, nothing, 0.05)
    tail.start()
    try:
        yield feed
    finally:
        await tail.stop()


class Client:
    """Watches all tasks, is killed now and then, and goes on with its token elsewhere."""

    def __init__(self, gateways: Sequence[tuple[Store, Feed]]) -> None:
        self._gateways = gateways
        self._random = Random(50)
        self._token = ""
        #: The number of each task's last event.
        self.seqs: dict[str, int] = {}
        self.kills = 0
        self.events = 0

    async def watch(self) -> None:
        """Watches until the last task has come."""
        while LAST not in self.seqs:
            await self._live()
            self.kills += 1

    async def _live(self) -> None:
        store, feed = self._random.choice(self._gateways)
        if not self._token:
            # Killed before all was shown: it begins anew.
            self.seqs.clear()
        left = self._random.randrange(1, 2 * TASKS * REPORTS // KILLS)
        async with aclosing(ManyTasks(feed, store, Interest()).watch(self._token)) as watch:
            async for news in watch:
                assert not news.restarted
                for record in news.tasks:
                    self.seqs[record.spec.id] = record.seq
                kept = min(left, len(news.events))
                for one in news.events[:kept]:
                    assert one.event.seq == self.seqs.get(one.event.task_id, 0) + 1
                    self.seqs[one.event.task_id] = one.event.seq
                self.events += kept
                left -= kept
                if news.vector is not None and not (news.tasks and kept < len(news.events)):
                    self._token = feed.cursors.write(before(news.vector, news.events[kept:]))
                if LAST in self.seqs or not left:
                    return


class WatchConformance:
    """``replicas`` are several stores on one database."""

    async def test_a_client_that_is_killed_again_and_again_sees_each_event_once(
        self, replicas: Sequence[Store]
    ) -> None:
        async with AsyncExitStack() as stack, asyncio.timeout(300):
            feeds = [await stack.enter_async_context(feed_of(store)) for store in replicas]
            client = Client(list(zip(replicas, feeds, strict=True)))
            watching = asyncio.create_task(client.watch())
            numbers, random = iter(range(TASKS)), Random(1)

            async def work() -> None:
                for number in numbers:
                    name = f"task_{number}"
                    await do(random.choice(replicas), dispatched(name))
                    for _ in range(REPORTS):
                        await do(random.choice(replicas), change(name, Progress(1.0)))
                    await do(random.choice(replicas), change(name, Succeed(b"1")))

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            await do(replicas[0], dispatched(LAST))
            await watching
            for number in range(TASKS):
                name = f"task_{number}"
                assert client.seqs[name] == (await record_of(replicas[0], name)).seq
            assert client.kills >= KILLS
