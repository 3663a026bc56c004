"""Counts events as they are committed: own ones for the store, and all of them by the second.

Of each start the store knows how many events are in its figures. What this one counted and did not
write is lost with it, and counted again from the log by whoever comes next.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from inferry.server.errors import InferryError
from inferry.server.figures.cell import ALL, KEPT_S, Cell, Key
from inferry.server.figures.counting import Counts, Names, Seconds, cells_of
from inferry.server.store import POSITION_BITS
from inferry.server.store.counting import AddFigures
from inferry.server.store.operations import Logged

#: Seconds that are kept in memory.
SECONDS_KEPT = 600
_COUNT = (1 << POSITION_BITS) - 1


class Tally:
    """What was counted here, and is not, or not only, in the store.

    Args:
        now_s: The first second of which all will be counted, since 1970-01-01 UTC.
    """

    def __init__(self, now_s: int) -> None:
        self.names = Names()
        #: From when on the seconds are known.
        self.since_s = now_s
        #: Whether anything happened since ``look``.
        self.stirred = True
        #: By the second: how many wait and run of each type, and of all together.
        self.looks: dict[int, Mapping[str, tuple[int, int]]] = {}
        #: The second of the last look; 0 before.
        self.looked_s = 0
        self._own = Counts(self.names)
        self._all = Counts(self.names)
        #: So many own events were counted, and so many are known to be in the store.
        self._last = self._written = 0
        #: What is on its way to the store, or may have come there.
        self._order: AddFigures | None = None

    def take(self, logged: Sequence[Logged]) -> None:
        """Counts what an own commit logged: the store's ``listener`` hears it."""
        if logged:
            add = self._own.add
            for one in logged:
                add(one.event, one.record)
            self._last = logged[-1].position & _COUNT
            self.stirred = True

    def hear(self, logged: Sequence[Logged]) -> None:
        """Counts what others logged: they write it."""
        for one in logged:
            self._all.add(one.event, one.record)
        self.stirred = True

    def look(self, now_s: int, counts: Mapping[str, tuple[int, int]]) -> None:
        """Notes how many tasks of each type wait and run; those of before have none now."""
        sums = dict.fromkeys((ALL, *self.looked), (0, 0))
        for task_type, (waiting, running) in counts.items():
            for name in (self.names.of(task_type), ALL):
                before = sums.get(name, (0, 0))
                sums[name] = before[0] + waiting, before[1] + running
        self.looks[now_s], self.looked_s = sums, now_s

    @property
    def looked(self) -> Mapping[str, tuple[int, int]]:
        """What the last look saw."""
        return self.looks.get(self.looked_s, {})

    def order(self, number: int, *, sampled: bool) -> AddFigures | None:
        """Gives what is to be written; the same again until ``settle`` says what became of it.

        Args:
            number: This start.
            sampled: Whether the last look goes with it.

        Returns:
            None if there is nothing.
        """
        if self._order is None:
            seconds = self._own.take()
            cells = cells_of(seconds)
            self._keep(seconds)
            if sampled:
                for step_s, (name, sample) in product(KEPT_S, self.looked.items()):
                    key = Key(step_s, name, self.looked_s - self.looked_s % step_s)
                    cells.setdefault(key, Cell()).look(self.looked_s, *sample)
            if cells or self._last > self._written:
                self._order = AddFigures(cells, number, self._written, self._last)
        return self._order

    def settle(self, result: int | InferryError) -> None:
        """Takes what became of the order: so many own events are in the store's figures now."""
        if isinstance(result, int):
            self._order, self._written = None, result

    @property
    def unwritten(self) -> Seconds:
        """What is not in the store while nothing is on its way."""
        return self._own.seconds

    @property
    def seconds(self) -> Seconds:
        """What was counted by the second, own and other: all but ``unwritten``."""
        return self._all.seconds

    def forget(self, now_s: int) -> None:
        """Lets go of seconds that are too long ago."""
        oldest_s = now_s - SECONDS_KEPT
        for seconds in (self._all.seconds, self.looks):
            for second in [one for one in seconds if one < oldest_s]:
                del seconds[second]

    def _keep(self, own: Seconds) -> None:
        for second, by_type in own.items():
            kept = self._all.seconds.setdefault(second, {})
            for name, cell in by_type.items():
                kept.setdefault(name, Cell()).add(cell)
