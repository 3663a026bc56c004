"""The latest committed events, for all watchers of many tasks: the store tells of each commit.

They lie in a ring, each at its place in the order in which this gateway learned of them. A watcher
is a cursor over it and holds no events itself: it is told the places of those that it may want. Who
is further behind than the ring is long reads on in the store, in larger steps.

What other gateways on the store did is read from its log. Own events are told as they are
committed, except where a task came from another gateway whose event has not been read yet: then
they wait for that, so that each task's events come in their order.
"""

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Protocol

from inferry.server.engine.watch.arrivals import Arrivals
from inferry.server.engine.watch.cursors import Cursors
from inferry.server.engine.watch.index import Index, Listening
from inferry.server.engine.watch.kept import kept
from inferry.server.engine.watch.vectors import count_of, epoch_of, has, passed, seen
from inferry.server.errors import UnavailableError
from inferry.server.store import POSITION_BITS, Store, Vector
from inferry.server.store.operations import Logged

#: Events in the ring.
RING = 10_000
#: When to ask a gateway again that stops: another one may be there by then.
_AGAIN_S = 5


class Bell(Protocol):
    """Somebody who sleeps."""

    def wake(self) -> None:
        """Wakes up."""
        ...

    def fall_behind(self) -> None:
        """Wakes up, to look for what follows elsewhere: the ring has it not, or has lost it."""
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
        #: Set while own events wait for what has to be read from the log first.
        self.behind = asyncio.Event()
        #: The epochs that are known to log nothing any more.
        self.ended: AbstractSet[int] = frozenset()
        self._store: Store
        self._size = size
        self._ring: list[Logged | None] = [None] * size
        self._arrivals = Arrivals(size)
        #: Position of the last own event that was told; and the own epoch.
        self._own = self._number = 0
        #: Own events that were not told yet.
        self._held: Sequence[Logged] = ()
        #: In the order in which they came, so that they are woken in it.
        self._watchers: dict[Bell, None] = {}
        self._closed = False

    @property
    def last(self) -> int:
        """Place of the last event."""
        return self._arrivals.last

    @property
    def vector(self) -> Vector:
        """All events that were told."""
        return self._arrivals.vector

    async def load(self, store: Store) -> None:
        """Takes up where the store is: after a start, or when it was too long behind to read on."""
        self._store, own = store, store.epoch.number
        epochs = await store.epochs()
        self.cursors = Cursors(epochs)
        ended = {epoch.number for epoch in epochs if epoch.ended}
        vector = await store.heads()
        await self._know(vector)
        # Of those that may log, and did not so far, nothing was seen.
        silent = self.cursors.numbers - ended
        vector = {**dict.fromkeys(silent, 0), **vector}
        self.cursors.meet([store.epoch])
        if self._own >> POSITION_BITS == own:
            vector[own] = max(vector.get(own, 0), count_of(self._own))
        self._arrivals.begin(vector)
        self._arrivals.end(ended)
        self._number, self._own = own, own << POSITION_BITS | vector.get(own, 0)
        self.take(())
        for watcher in self._watchers:
            watcher.fall_behind()

    async def place_of(self, cursor: str) -> Vector | None:
        """Finds the vector that a token goes on after; None if there is none any more.

        Raises:
            InvalidPayloadError: It is none that a watch returned.
        """
        vector = self.cursors.read(cursor)
        if vector is None:
            await self._learn()
            vector = self.cursors.read(cursor)
        if vector is None or _within(vector, self.vector):
            return vector
        # Another gateway told more by now. A store that was brought back may not be there yet.
        return vector if _within(vector, await self._store.heads()) else None

    def take(self, logged: Sequence[Logged]) -> None:
        """Takes what a commit logged: this is the store's ``listener``."""
        if self._held or (logged and logged[0].position != self._own + 1):
            known, logged = self._own, [*self._held, *logged]
            logged, self._held = [one for one in logged if one.position > known], ()
        told = self._tell(self._number, logged)
        self._own += told
        if told < len(logged):
            self._held = logged[told:]
            self.behind.set()

    async def hear(self, logged: Sequence[Logged]) -> None:
        """Takes what the store's log has beyond ``vector``: what others did and, in its place, own.

        Raises:
            StoreError: An epoch is new, and cannot be looked up.
        """
        await self.meet(logged)
        vector, held = self.vector, self._held
        fresh = [one for one in logged if not has(vector, one.position)]
        for number, events in groupby(fresh, epoch_of):
            told = [*events]
            if number == self._number:
                # They are the same, but that those still have what their tasks ended with.
                told = [*(one._replace(after=0) for one in held[: len(told)]), *told[len(held) :]]
                held = held[len(told) :]
                self._own += len(told)
            self._tell(number, told)
        self._held = ()
        self.take(held)

    def pass_over(self, ended: AbstractSet[int]) -> None:
        """Leaves out epochs that had ended before all of the log was read: all of them was told."""
        self._arrivals.end(ended)

    async def meet(self, logged: Iterable[Logged]) -> None:
        """Gets to know the epochs of events that are not known yet.

        Raises:
            StoreError: They cannot be looked up.
        """
        await self._know({epoch_of(one) for one in logged})

    def passed(self, vector: Vector, page: Sequence[Logged]) -> Vector:
        """Adds a page that the store's log has after a vector to it; ``meet`` comes before that."""
        return passed(vector, page, self.cursors.numbers)

    def find(self, vector: Vector) -> int | None:
        """Finds the place to go on after in the ring; None when it does not go back so far."""
        return self._arrivals.find(vector)

    def vector_at(self, place: int) -> Vector:
        """Gives all that had been told by a place in the ring."""
        return self._arrivals.vector_at(place)

    def at(self, place: int) -> Logged | None:
        """Gives the event at a place; None when it is not in the ring, or no more."""
        return self._ring[place % self._size] if place > self._arrivals.start else None

    def join(self, watcher: Bell) -> None:
        """Has a watcher woken when there is no more to come; the index has what else it hears."""
        self._watchers[watcher] = None

    def leave(self, watcher: Bell) -> None:
        """Forgets it."""
        self._watchers.pop(watcher, None)

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
        for watcher in self._watchers:
            watcher.wake()

    def _tell(self, number: int, logged: Sequence[Logged]) -> int:
        """Tells of what an epoch logged next, up to what waits for another one; returns how much.

        Args:
            number: The epoch.
            logged: Events that it logged one after the other.
        """
        index, ring, size, arrivals = self.index, self._ring, self._size, self._arrivals
        if number != arrivals.running and logged:
            arrivals.turn(number)
        anybody, spec, place = bool(self._watchers), None, arrivals.last
        listening: Sequence[Listening] = ()
        for one in logged:
            if one.after and not has(self.vector, one.after):
                break
            place += 1
            ring[place % size] = kept(one)
            if anybody:
                # Events of one task come together.
                if one.record.spec is not spec:
                    spec = one.record.spec
                    listening = tuple(index.watchers(spec))
                for watcher in listening:
                    watcher.note(place)
        told, arrivals.last = place - arrivals.last, place
        return told

    async def _know(self, numbers: Iterable[int]) -> None:
        if not self.cursors.numbers >= set(numbers):
            await self._learn()

    async def _learn(self) -> None:
        epochs = await self._store.epochs()
        self.cursors.meet(epochs)
        self.ended = {epoch.number for epoch in epochs if epoch.ended}
        self._arrivals.meet(epoch.number for epoch in epochs)


def _within(vector: Vector, other: Vector) -> bool:
    """Whether a vector has no more than another, of the epochs that it names."""
    return all(count <= seen(other, number) for number, count in vector.items())
