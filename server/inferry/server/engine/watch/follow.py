"""The use case of following tasks that are named one after the other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.many import task_or_none
from inferry.server.engine.watch.news import PAGE, News, Pace
from inferry.server.engine.watch.watcher import Watcher
from inferry.server.errors import InvalidPayloadError
from inferry.server.store import Store
from inferry.server.store.operations import Logged
from inferry.server.task.record import TaskRecord

#: Tasks that one stream follows at once.
FOLLOWED_LIMIT = 100_000


class Ask(NamedTuple):
    """One word of who follows."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    #: Goes on from there with what this adds; the first one may have it.
    cursor: str = ""


class Follow:
    """One stream of them. A task that has ended is let go of.

    Args:
        feed: The latest events.
        store: All there is.
        tenant: Whose tasks may be followed; None for everybody's.
    """

    def __init__(self, feed: Feed, store: Store, tenant: str | None) -> None:
        self._feed = feed
        self._store = store
        self._tenant = tenant
        self._watcher = Watcher(feed, store, Interest(tenant), by_id=True)
        #: What was said and not heard yet: who says more waits.
        self._said: Ask | None = None
        self._heard = asyncio.Event()
        self._first = True

    async def run(self, asks: AsyncIterator[Ask]) -> AsyncGenerator[News, None]:
        """Yields what happens; ends when nothing more can be asked for and all tasks have ended.

        Raises:
            InvalidPayloadError: Too many tasks, or the cursor is none.
            UnavailableError: The gateway stops.
        """
        # Reads for as long as the stream is there: a read that is given up would lose a word.
        reader = asyncio.create_task(self._listen(asks), name="follower")
        try:
            with self._watcher.listening() as watcher:
                pace = Pace(watcher)
                while True:
                    async for news in self._hear():
                        yield news
                        pace.said(watcher.vector)
                    events = await watcher.read()
                    if events is None:
                        async for news in self._show(watcher.tasks, restarted=True):
                            yield news
                            pace.said(watcher.vector)
                        continue
                    told = self._let_go(events)
                    if told or pace.due(watcher.vector):
                        yield News(events=told, vector=watcher.vector)
                        pace.said(watcher.vector)
                    if reader.done():
                        reader.result()
                        if self._said is None and not watcher.tasks:
                            return
                    await pace.wait()
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _listen(self, asks: AsyncIterator[Ask]) -> None:
        try:
            async for ask in asks:
                self._said = ask
                self._heard.clear()
                self._watcher.wake()
                await self._heard.wait()
        finally:
            self._watcher.wake()

    async def _hear(self) -> AsyncIterator[News]:
        """Does what was said, if anything was."""
        ask, self._said = self._said, None
        if ask is None:
            return
        self._watcher.drop(ask.remove)
        added = dict.fromkeys(ask.add)
        self._check(ask, len(self._watcher.tasks) + len(added))
        start = await self._feed.place_of(ask.cursor) if ask.cursor else None
        if start is not None:
            self._watcher.add(added)
            self._watcher.go_on(start)
        elif added or ask.cursor:
            async for news in self._show(added, restarted=bool(ask.cursor)):
                yield news
        self._first = False
        self._heard.set()

    def _check(self, ask: Ask, tasks: int) -> None:
        if tasks > FOLLOWED_LIMIT:
            raise InvalidPayloadError(
                f"add_ids: {tasks} tasks on one stream; the limit is {FOLLOWED_LIMIT}"
            )
        if ask.cursor and not self._first:
            raise InvalidPayloadError("cursor: only the first message of a stream may have one")

    async def _show(self, task_ids: Iterable[str], *, restarted: bool) -> AsyncIterator[News]:
        """Shows tasks as they are, and what happened to all of them meanwhile with the last ones.

        Only those come with a place to go on from: before, an event may be in what was shown.
        """
        watcher, ids = self._watcher, tuple(task_ids)
        if restarted:
            watcher.go_on(self._feed.vector)
        watcher.add(ids)
        news = News(restarted=restarted)
        for first in range(0, len(ids), PAGE):
            if news.tasks or news.missing:
                yield news
                news = News()
                # Others have their turn.
                await asyncio.sleep(0)
            news = await self._page(ids[first : first + PAGE], restarted=news.restarted)
        events: list[Logged] = []
        watcher.make_sure()
        while not watcher.sure:
            found = await watcher.read()
            if found is None:
                # It took longer than events are kept: again, and all of them.
                async for again in self._show(watcher.tasks, restarted=True):
                    yield again
                return
            events += found
        yield News(
            news.tasks,
            news.missing,
            self._let_go(events),
            restarted=news.restarted,
            vector=watcher.vector,
        )

    async def _page(self, task_ids: Sequence[str], *, restarted: bool) -> News:
        found: list[TaskRecord] = []
        missing: list[str] = []
        for task_id in task_ids:
            record = await task_or_none(self._store, task_id, self._tenant)
            if record is None:
                missing.append(task_id)
                continue
            found.append(record)
            self._watcher.shown(task_id, record.seq)
        self._watcher.drop([one.spec.id for one in found if one.status.final])
        self._watcher.drop(missing)
        return News(tuple(found), tuple(missing), restarted=restarted)

    def _let_go(self, events: list[Logged]) -> tuple[Logged, ...]:
        """Leaves out what came after the end of a task."""
        ended: set[str] = set()
        told: list[Logged] = []
        for one in events:
            if one.event.task_id not in ended:
                told.append(one)
            if one.event.status.final:
                ended.add(one.event.task_id)
        self._watcher.drop(ended)
        return tuple(told)
