"""One watcher of many tasks: a cursor over all events, and a bell."""

import asyncio
from collections.abc import Iterable, Iterator, KeysView
from contextlib import contextmanager, suppress
from typing import Self

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.store import Store
from inferry.server.store.operations import Logged

#: Events that are given at once, at most.
STEP = 256
#: Positions that are noted for one watcher; who has more to read looks through all events.
NOTED_LIMIT = 1_024
#: Events that are looked through at once, in the ring.
_LOOK = 2_000


class Watcher:
    """Reads the events that it wants, each once, in the order of their commits.

    Args:
        feed: The latest events.
        store: All of them.
        interest: What their tasks must be like.
        by_id: Whether it wants the tasks alone that are added.
    """

    def __init__(self, feed: Feed, store: Store, interest: Interest, *, by_id: bool) -> None:
        self.interest = interest
        #: It has been given all up to here.
        self.position = feed.last
        self._feed = feed
        self._store = store
        self._by_id = by_id
        #: Number of the last event of each task that it was shown, or that was added.
        self._seen: dict[str, int] = {}
        self._bell = asyncio.Event()
        #: Where the next events are, unless it is behind.
        self._noted: list[int] = []
        self._behind = False

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Has it told of events until the block ends."""
        feed = self._feed
        feed.join(self)
        if not self._by_id:
            feed.index.add(self)
        try:
            yield self
        finally:
            feed.leave(self)
            if self._by_id:
                self.drop(list(self._seen))
            else:
                feed.index.drop(self)

    @property
    def tasks(self) -> KeysView[str]:
        """The tasks that were added or shown."""
        return self._seen.keys()

    def add(self, task_ids: Iterable[str]) -> None:
        """Wants the events of these tasks, too."""
        for task_id in task_ids:
            self._seen.setdefault(task_id, 0)
            self._feed.index.add_id(task_id, self)

    def drop(self, task_ids: Iterable[str]) -> None:
        """Wants them no more."""
        for task_id in task_ids:
            self._seen.pop(task_id, None)
            self._feed.index.drop_id(task_id, self)

    def shown(self, task_id: str, seq: int) -> None:
        """Leaves out the events of a task up to ``seq``: they are in what it was shown."""
        self._seen[task_id] = max(seq, self._seen.get(task_id, 0))

    def forget_shown(self) -> None:
        """Has passed all events that were in what it was shown."""
        if not self._by_id:
            self._seen.clear()

    def note(self, position: int) -> None:
        """See ``Listening``: an event is there that it may want."""
        if not self._behind:
            self._noted.append(position)
            if len(self._noted) > NOTED_LIMIT:
                self.go_on(self.position)
        self._bell.set()

    def wake(self) -> None:
        """Wakes it up without an event."""
        self._bell.set()

    async def sleep(self, at_most_s: float) -> None:
        """Waits for a bell, or for as long."""
        if self._behind or self._noted:
            # Others have their turn.
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._bell.wait()

    def go_on(self, position: int) -> None:
        """Goes on after a position, whichever way there is."""
        self.position, self._behind = position, True
        self._noted.clear()

    async def read(self) -> list[Logged] | None:
        """Gives the next events and goes on to there; None if not all of them are kept any more.

        Nothing is no end: there may be more to look through.

        Raises:
            UnavailableError: The gateway stops.
        """
        self._feed.check()
        self._bell.clear()
        if not self._behind:
            given, self._noted = self._noted[:STEP], self._noted[STEP:]
            page = self._from_ring(given)
            if page is not None:
                self.position = given[-1] if self._noted else self._feed.last
                return self._wanted(page)
            self.go_on(self.position)
        return await self._look()

    async def _look(self) -> list[Logged] | None:
        """Looks for what it wants among all events."""
        feed = self._feed
        following = feed.next_after(self.position)
        last = feed.last if following is None else min(feed.last, following + _LOOK - 1)
        page = None if following is None else self._from_ring(range(following, last + 1))
        if page is None:
            stored = await self._store.logged(self.position, STEP)
            if stored is None:
                return None
            # What the feed has not told of yet it will.
            page = [one for one in stored if one.position <= feed.last]
            last = page[-1].position if page else feed.last
        self.position = max(self.position, last)
        self._behind = self.position < feed.last
        return self._wanted(page)

    def _from_ring(self, positions: Iterable[int]) -> list[Logged] | None:
        found = [self._feed.at(position) for position in positions]
        page = [one for one in found if one is not None]
        return page if len(page) == len(found) else None

    def _wanted(self, page: list[Logged]) -> list[Logged]:
        return [one for one in page if self._wants(one)]

    def _wants(self, one: Logged) -> bool:
        task_id, seq = one.event.task_id, one.event.seq
        seen = self._seen.get(task_id)
        if seen is None:
            return not self._by_id and self.interest.wants(one.record.spec)
        if seq <= seen or not self.interest.wants(one.record.spec):
            return False
        self._seen[task_id] = seq
        return True
