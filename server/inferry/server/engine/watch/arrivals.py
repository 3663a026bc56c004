"""The order in which one gateway learns of events: its own, and those of others amid them.

Each epoch's events come in their order and without holes, so that of a run of them it is enough to
know where it began: as long as one gateway works alone, all of it is one run.
"""

from bisect import bisect_right
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import NamedTuple

from inferry.server.engine.watch.vectors import seen
from inferry.server.store import Vector


class Run(NamedTuple):
    """Events of one epoch that came one after the other."""

    #: So many events had come before, of whichever epoch.
    place: int
    #: So many of its own epoch's had come, or had been there from the beginning.
    seen: int


_PLACE, _SEEN = attrgetter("place"), attrgetter("seen")


class Arrivals:
    """Tells what had come by which place, and the other way round, for the latest places.

    Args:
        size: So many places can be asked for.
    """

    def __init__(self, size: int) -> None:
        #: Place of the last event. Who adds events of the epoch that is ``running`` moves it on.
        self.last = 0
        #: The epoch that logged the last event; 0 before any.
        self.running = 0
        self._size = size
        #: Nothing before this place can be asked for.
        self._floor = 0
        self._runs: dict[int, list[Run]] = {}
        #: How much of each epoch has come, but of the one that is running.
        self._counts: dict[int, int] = {}
        #: Epochs of which all has come.
        self._ended: AbstractSet[int] = frozenset()
        #: All that has come of the others, as a vector names it.
        self._others: dict[int, int] = {}
        #: What had come by a place, and the place.
        self._vector: tuple[Vector, int] = ({}, 0)

    @property
    def start(self) -> int:
        """The first place that can be asked for: that of the event before those that are there."""
        return max(self._floor, self.last - self._size)

    @property
    def vector(self) -> Vector:
        """All that has come."""
        vector, place = self._vector
        if place != self.last:
            vector = self._others
            if self.running:
                vector = {**vector, self.running: self._count(self.running)}
            self._vector = (vector, self.last)
        return vector

    def begin(self, vector: Vector) -> None:
        """Begins anew with all that is in a vector; what came before can't be asked for."""
        self.last = self._floor = self.last + 1
        self._runs = {number: [Run(self.last, count)] for number, count in vector.items()}
        self._counts, self.running = dict(vector), 0
        self._name()

    def meet(self, numbers: Iterable[int]) -> None:
        """Gets to know all epochs that there are: of those that are new, nothing has come."""
        highest = max(self._runs, default=0)
        for number in numbers:
            if number > highest:
                self._add(number)
        self._name()

    def end(self, numbers: AbstractSet[int]) -> None:
        """Gets to know epochs of which all has come."""
        self._ended = (self._ended | numbers) & self._runs.keys()
        for number in self._ended:
            gone = self._before(number, self._count(number)) <= self.start
            if gone and number != max(self._runs):
                del self._runs[number], self._counts[number]
        self._name()

    def turn(self, number: int) -> None:
        """Begins a run of an epoch, and forgets those that no place needs any more."""
        if self.running:
            self._counts[self.running] = self._count(self.running)
        self.running = number
        if number not in self._runs:
            self._add(number)
        runs = self._runs[number]
        runs.append(Run(self.last, self._counts[number]))
        del runs[: bisect_right(runs, self.start, key=_PLACE) - 1]
        self._name()

    def vector_at(self, place: int) -> Vector:
        """Gives all that had come by a place."""
        vector: dict[int, int] = {}
        for number, runs in self._runs.items():
            after = bisect_right(runs, place, key=_PLACE)
            most = runs[after].seen if after < len(runs) else self._count(number)
            run = runs[after - 1]
            count = min(run.seen + place - run.place, most)
            if self._named(number) or count < self._count(number):
                vector[number] = count
        return vector

    def find(self, vector: Vector) -> int | None:
        """Finds the last place by which nothing had come that a vector lacks, if there is one."""
        highest, known = max(vector, default=0), self._runs.keys()
        top = max(known, default=0)
        if any(number < top for number in vector.keys() - known):
            # All of that had come, and how much that was is not known any more.
            return None
        if sum(number > highest for number in known) < top - highest:
            # Nor of epochs that the vector knows nothing of.
            return None
        place = self.last
        for number, runs in self._runs.items():
            count = seen(vector, number)
            if count < runs[0].seen:
                return None
            if count < self._count(number):
                place = min(place, self._before(number, count))
        return place if place >= self.start else None

    def _before(self, number: int, count: int) -> int:
        """Gives the place before the event of an epoch that follows on so many."""
        runs = self._runs[number]
        run = runs[bisect_right(runs, count, key=_SEEN) - 1]
        return run.place + count - run.seen

    def _count(self, number: int) -> int:
        if number == self.running:
            run = self._runs[number][-1]
            return run.seen + self.last - run.place
        return self._counts[number]

    def _add(self, number: int) -> None:
        self._runs[number], self._counts[number] = [Run(self._floor, 0)], 0

    def _named(self, number: int) -> bool:
        """Whether a vector that has all of an epoch names it: more may come, or none is above."""
        return number not in self._ended or number == max(self._runs)

    def _name(self) -> None:
        named = [one for one in self._counts if self._named(one) and one != self.running]
        self._others, self._vector = {one: self._counts[one] for one in named}, ({}, -1)
