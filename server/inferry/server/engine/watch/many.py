"""The use case of watching all tasks that fit: first as they are, then what happens to them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import replace

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.news import PAGE, News, Pace
from inferry.server.engine.watch.watcher import Watcher
from inferry.server.errors import GoneError
from inferry.server.store import Store, TaskFilter
from inferry.server.task.record import Status, TaskRecord


class ManyTasks:
    """One watch.

    Args:
        feed: The latest events.
        store: All there is.
        interest: What its tasks are like.
        ids: These alone; empty for all.
    """

    def __init__(
        self, feed: Feed, store: Store, interest: Interest, ids: Collection[str] = ()
    ) -> None:
        self._feed = feed
        self._store = store
        self._interest = interest
        self._ids = tuple(dict.fromkeys(ids))
        self._watcher = Watcher(feed, store, interest, by_id=bool(ids))

    async def watch(self, cursor: str) -> AsyncGenerator[News, None]:
        """Yields what happens after a cursor or, if it is empty or too old, first all as it is.

        Never ends by itself.

        Raises:
            InvalidPayloadError: The cursor is none.
            UnavailableError: The gateway stops.
        """
        start = await self._feed.place_of(cursor) if cursor else None
        with self._watcher.listening() as watcher:
            watcher.add(self._ids)
            restarted = bool(cursor) and start is None
            shows = start is None
            if start is not None:
                watcher.go_on(start)
            pace = Pace(watcher)
            while True:
                if shows:
                    async for news in self._show(restarted=restarted):
                        yield news
                    pace.said(watcher.vector)
                    shows = False
                events = await watcher.read()
                if events is None:
                    shows = restarted = True
                    continue
                if events or pace.due(watcher.vector):
                    yield News(events=tuple(events), vector=watcher.vector)
                    pace.said(watcher.vector)
                await pace.wait()

    async def _show(self, *, restarted: bool) -> AsyncIterator[News]:
        """Shows all as it is, and brings the watcher to where that is known to be whole.

        What happens meanwhile may be in what is shown or not: it is told as far as it is not, and
        a place to go on from comes when all of it is past.
        """
        watcher, created = self._watcher, set[str]()
        watcher.go_on(self._feed.vector)
        async for page in self._pages():
            for record in page:
                watcher.shown(record.spec.id, record.seq)
            yield News(tasks=tuple(page), restarted=restarted)
            restarted = False
            # Others have their turn.
            await asyncio.sleep(0)
        whole = False
        while not whole:
            watcher.make_sure()
            whole = True
            while not watcher.sure:
                news = await self._meanwhile(created)
                if news is None:
                    # It took longer than events are kept: again, from the beginning.
                    async for again in self._show(restarted=True):
                        yield again
                    return
                # What is shown only now may have more in it than is past.
                whole = whole and not news.tasks
                if news.tasks or news.events:
                    yield replace(news, restarted=restarted)
                    restarted = False
        watcher.forget_shown()
        yield News(complete=True, restarted=restarted, vector=watcher.vector)

    async def _meanwhile(self, created: set[str]) -> News | None:
        """Reads what happened while tasks were shown; None if that is not kept any more.

        A task that went from one page to another may have been in none of them.

        Args:
            created: Tasks that began meanwhile; more are added.
        """
        events = await self._watcher.read()
        if events is None:
            return None
        created |= {one.event.task_id for one in events if one.event.seq == 1}
        missed = {
            one.event.task_id: None
            for one in events
            if one.event.task_id not in created and one.event.task_id not in self._watcher.tasks
        }
        found = [
            await task_or_none(self._store, task_id, self._interest.tenant) for task_id in missed
        ]
        tasks = tuple(one for one in found if one is not None)
        for record in tasks:
            self._watcher.shown(record.spec.id, record.seq)
        shown = {record.spec.id for record in tasks}
        told = tuple(one for one in events if one.event.task_id not in shown)
        return News(tasks=tasks, events=told)

    async def _pages(self) -> AsyncIterator[list[TaskRecord]]:
        if self._ids:
            for first in range(0, len(self._ids), PAGE):
                found = [
                    await task_or_none(self._store, task_id, self._interest.tenant)
                    for task_id in self._ids[first : first + PAGE]
                ]
                yield [one for one in found if one is not None and self._interest.wants(one.spec)]
            return
        tenant, task_type, labels = self._interest
        for status in (Status.PENDING, Status.PROCESSING):
            wanted = TaskFilter(tenant, status, task_type or None, labels=labels)
            before: int | None = None
            while page := await self._store.tasks(wanted, before, PAGE):
                before = page[-1][0]
                yield [record for _, record in page]


async def task_or_none(store: Store, task_id: str, tenant: str | None) -> TaskRecord | None:
    """Reads a task; None if it is not there, or no more."""
    try:
        return await store.task(task_id, tenant)
    except GoneError:
        return None
