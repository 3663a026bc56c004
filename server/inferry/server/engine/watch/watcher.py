"""One watcher of many tasks: a cursor over all events, and a bell."""

import asyncio
from collections.abc import Iterable, Iterator, KeysView
from contextlib import contextmanager, suppress
from typing import Self

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.vectors import has, together
from inferry.server.store import Store, Vector
from inferry.server.store.operations import Logged

#: Events that are given at once, at most.
STEP = 256
#: Places that are noted for one watcher; who has more to read looks through all events.
NOTED_LIMIT = 1_024
#: Events that are looked through at once, in the ring.
_LOOK = 2_000


class Watcher:
    """Reads the events that it wants, each once, and each task's in their order.

    Args:
        feed: The latest events.
        store: All of them.
        interest: What their tasks must be like.
        by_id: Whether it wants the tasks alone that are added.
    """

    def __init__(self, feed: Feed, store: Store, interest: Interest, *, by_id: bool) -> None:
        self.interest = interest
        #: It has been given all that it wants of this.
        self.vector = feed.vector
        #: Whether that was all that had been committed before it was to make sure.
        self.sure = True
        self._feed = feed
        self._store = store
        self._by_id = by_id
        #: Number of the last event of each task that it was shown, or that was added.
        self._seen: dict[str, int] = {}
        self._bell = asyncio.Event()
        #: Where the next events are in the ring, unless it is behind.
        self._noted: list[int] = []
        self._behind = False
        #: Whether it may have been given what comes later in the ring, or has not been told yet.
        self._ahead = False

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

    def note(self, place: int) -> None:
        """See ``Listening``: an event is there that it may want."""
        if not self._behind:
            self._noted.append(place)
            if len(self._noted) > NOTED_LIMIT:
                self.go_on(self.vector)
        self._bell.set()

    def wake(self) -> None:
        """Wakes it up without an event."""
        self._bell.set()

    def fall_behind(self) -> None:
        """See ``Bell``."""
        self.go_on(self.vector)
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

    def go_on(self, vector: Vector) -> None:
        """Goes on after a vector, whichever way there is."""
        self.vector, self._behind, self._ahead = vector, True, True
        self._noted.clear()

    def make_sure(self) -> None:
        """Goes on until it has been given all that has been committed by now: then it is sure."""
        self.sure = False
        self.go_on(self.vector)

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
                feed = self._feed
                return self._pass(page, feed.vector_at(given[-1]) if self._noted else feed.vector)
            self.go_on(self.vector)
        return await self._look()

    async def _look(self) -> list[Logged] | None:
        """Looks for what it wants among all events."""
        last = self._feed.last
        place = self._feed.find(self.vector)
        if place == last and self.sure:
            self._behind = False
            return []
        if place is not None and place < last:
            until = min(place + _LOOK, last)
            page = self._from_ring(range(place + 1, until + 1))
            if page is not None:
                self._behind = until < last or not self.sure
                return self._pass(page, self._feed.vector_at(until))
        return await self._look_in_store()

    async def _look_in_store(self) -> list[Logged] | None:
        told = self._feed.vector
        page = await self._store.logged(self.vector, STEP)
        if page is None:
            return None
        await self._feed.meet(page)
        # The store has them in another order than the ring, which may tell some of them later.
        self.vector, self._ahead = self._feed.passed(self.vector, page), True
        if len(page) < STEP:
            # That was all there is, and so it was all that the feed had told of.
            self.vector, self.sure = together(self.vector, told), True
        return self._wanted(page)

    def _pass(self, page: list[Logged], there: Vector) -> list[Logged]:
        """Goes on to what had been told by a place; gives what it wants of what came on the way."""
        before, self.vector = self.vector, there
        if self._ahead:
            self.vector = together(before, there)
            self._ahead = self.vector != there
            page = [one for one in page if not has(before, one.position)]
        return self._wanted(page)

    def _from_ring(self, places: Iterable[int]) -> list[Logged] | None:
        found = [self._feed.at(place) for place in places]
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
