"""The latest committed events, for all watchers of many tasks: the store tells of each commit.

They lie in a ring, each at its position. A watcher is a cursor over it and holds no events itself:
it is told the positions of those that it may want. Who is further behind than the ring is long
reads on in the store, in larger steps.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from inferry.server.engine.watch.cursors import Cursors
from inferry.server.engine.watch.index import Index, Listening
from inferry.server.errors import UnavailableError
from inferry.server.store import POSITION_BITS, Store
from inferry.server.store.operations import Logged
from inferry.server.task.record import EventKind, Outcome

#: Events in the ring.
RING = 10_000
#: What a task ended with stays in the ring if it has so few bytes; else the store has it.
OUTCOME_BYTES = 1_024
#: An event stays there if the words of its task are so few.
WORDS_BYTES = 4_096
#: When to ask a gateway again that stops: another one may be there by then.
_AGAIN_S = 5


class Bell(Protocol):
    """Somebody who sleeps."""

    def wake(self) -> None:
        """Wakes up."""
        ...


class Feed:
    """Keeps the latest events, and rings the bells of those that may want them.

    Args:
        size: Events that it keeps.
    """

    def __init__(self, size: int = RING) -> None:
        self.index = Index()
        #: Writes and reads the tokens of watchers; once loaded.
        self.cursors: Cursors
        #: Position of the last event.
        self.last = 0
        self._size = size
        self._ring: list[Logged | None] = [None] * size
        #: Position before the first event of this start of the gateway; and the last one before.
        self._base = self._before = 0
        self._reaching: list[tuple[int, asyncio.Event]] = []
        #: In the order in which they came, so that they are woken in it.
        self._watchers: dict[Bell, None] = {}
        self._closed = False

    async def load(self, store: Store) -> None:
        """Takes up where the store is, after a start."""
        self.cursors = Cursors([*await store.epochs(), store.epoch])
        self.last = self._before = await store.last_position()
        self._base = store.epoch.number << POSITION_BITS

    def place_of(self, cursor: str) -> int | None:
        """Finds the position that a token goes on after; None if there is none any more.

        Raises:
            InvalidPayloadError: It is none that a watch returned.
        """
        position = self.cursors.read(cursor)
        # A store that was brought back from a backup may not be there yet.
        return None if position is None or position > max(self.last, self._base) else position

    def take(self, logged: Sequence[Logged]) -> None:
        """Takes what a commit logged: this is the store's ``listener``."""
        index, ring, size = self.index, self._ring, self._size
        anybody, spec = bool(index), None
        listening: Sequence[Listening] = ()
        for one in logged:
            ring[one.position % size] = _kept(one)
            if anybody:
                # Events of one task come together.
                if one.record.spec is not spec:
                    spec = one.record.spec
                    listening = tuple(index.watchers(spec))
                for watcher in listening:
                    watcher.note(one.position)
        if logged:
            self.last = logged[-1].position
        for position, reached in self._reaching:
            if position <= self.last:
                reached.set()

    def next_after(self, position: int) -> int | None:
        """Finds the position after another; None when the ring does not go back so far."""
        following = max(position, self._base) + 1
        if position < self._before or following <= self.last - self._size:
            return None
        return following

    def at(self, position: int) -> Logged | None:
        """Gives the event at a position; None when it is not in the ring, or no more."""
        found = self._ring[position % self._size]
        return found if found is not None and found.position == position else None

    def join(self, watcher: Bell) -> None:
        """Has a watcher woken when there is no more to come; the index has what else it hears."""
        self._watchers[watcher] = None

    def leave(self, watcher: Bell) -> None:
        """Forgets it."""
        self._watchers.pop(watcher, None)

    async def reach(self, position: int) -> None:
        """Waits until a position has been told of: a read may see a commit a moment earlier.

        Raises:
            UnavailableError: The gateway stops.
        """
        if position > self.last:
            waiting = (position, asyncio.Event())
            self._reaching.append(waiting)
            try:
                self.check()
                await waiting[1].wait()
            finally:
                self._reaching.remove(waiting)
            self.check()

    def check(self) -> None:
        """Does nothing while there is more to come.

        Raises:
            UnavailableError: The gateway stops.
        """
        if self._closed:
            raise UnavailableError(
                "the gateway stops; go on after the last cursor", retry_after_s=_AGAIN_S
            )

    def close(self) -> None:
        """Ends all watches: each watcher finds it out when it is woken."""
        self._closed = True
        for _, reached in self._reaching:
            reached.set()
        for watcher in self._watchers:
            watcher.wake()


def _kept(one: Logged) -> Logged | None:
    """Gives what the ring keeps of an event: ten thousand times a little is enough."""
    record = one.record
    words = len(record.spec.labels) + len(record.message) + len(record.error)
    if words + len(one.event.message) > WORDS_BYTES:
        return None
    if one.outcome is None or (one.event.kind is EventKind.FINISHED and _small(one.outcome)):
        return one
    return one._replace(outcome=None)


def _small(outcome: Outcome) -> bool:
    return sum(len(text) for text in outcome if text) <= OUTCOME_BYTES
