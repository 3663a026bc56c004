"""The lines of a route by level: time raises the levels, nobody touches each line. Pure."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import count

from inferry.server.queue.flow import AGE_STEP_MS, HIGHEST, Line

#: Entries that a heap may have beyond twice the lines of the route before it is made anew.
_SLACK = 64
#: When more than this part of a stage rises at once, it is parted instead of moved line by line.
_MANY = 1 / 64


class Stage:
    """Lines that had one level when they came here: the first and the oldest are at hand.

    An entry is of a line as long as the line has its number. Whoever has left stays as a stale
    entry until it comes up, or until there are too many of them.
    """

    def __init__(self) -> None:
        #: The tag of the tenant, the key of the first task, the number.
        self._heads: list[tuple[float, int, str, int, Line]] = []
        self._ages: list[tuple[int, int, Line]] = []

    def __len__(self) -> int:
        """Counts its entries, stale ones included."""
        return len(self._ages)

    def put(self, line: Line) -> None:
        """Lets a line in that has just got its number."""
        number = line.number
        heappush(self._heads, (line.flow.tag, *line.keys[0], number, line))
        heappush(self._ages, (line.born_ms, number, line))

    def first(self) -> Line | None:
        """Finds the line whose turn it is; None if there are none."""
        heads = self._heads
        while heads:
            _, _, _, number, line = heads[0]
            if line.number == number:
                return line
            heappop(heads)
        return None

    def oldest(self) -> Line | None:
        """Finds the line that rises next; None if there are none."""
        ages = self._ages
        while ages:
            _, number, line = ages[0]
            if line.number == number:
                return line
            heappop(ages)
        return None

    def lines(self) -> list[Line]:
        """Lists its lines."""
        return [line for _, number, line in self._ages if line.number == number]

    def parts(self, born_ms: int) -> tuple[list[Line], list[Line]]:
        """Lists the lines that were born by some time, and those that were born later."""
        live = [(born, line) for born, number, line in self._ages if line.number == number]
        return (
            [line for born, line in live if born <= born_ms],
            [line for born, line in live if born > born_ms],
        )

    def tidy(self) -> None:
        """Drops the stale entries."""
        self._heads = [entry for entry in self._heads if entry[4].number == entry[3]]
        self._ages = [entry for entry in self._ages if entry[2].number == entry[1]]
        heapify(self._heads)
        heapify(self._ages)


class Levels:
    """All lines of a route: the first of those of the highest level is at hand.

    A line comes to the stage of its level. It moves on when the level that it has reached is the
    highest of all, and not before. Mostly all lines of a stage have risen together by then: it
    rises as a whole.
    """

    def __init__(self) -> None:
        self._stages = [Stage() for _ in range(HIGHEST + 1)]
        self._numbers = count(1)
        #: How many lines there are.
        self._size = 0
        #: The highest level, and the time as of which all that have it are on its stage.
        self._highest = 0
        self._now_ms = 0

    def __len__(self) -> int:
        return self._size

    def put(self, line: Line) -> None:
        """Lets a line in, or puts it where it belongs by now."""
        self.discard(line)
        self._size += 1
        level = line.level(self._now_ms)
        self._highest = max(self._highest, level)
        self._move([line], self._stages[level])

    def discard(self, line: Line) -> None:
        """Lets a line out; no error if it is not here."""
        if line.number:
            line.number = 0
            self._size -= 1

    def first(self, now_ms: int) -> tuple[int, Line]:
        """Finds the line whose turn it is, and its level.

        Raises:
            LookupError: There are no lines.
        """
        if now_ms != self._now_ms:
            self._look(now_ms)
        while (line := self._stages[self._highest].first()) is None:
            self._look(now_ms)
        return self._highest, line

    def _look(self, now_ms: int) -> None:
        """Finds the highest level, and moves those there that have reached it."""
        if not self._size:
            raise LookupError("no line is here")
        self._now_ms, self._highest = now_ms, 0
        for level, stage in enumerate(self._stages):
            if (oldest := stage.oldest()) is not None:
                reached = (now_ms - oldest.born_ms) // AGE_STEP_MS
                self._highest = max(self._highest, level, min(HIGHEST, reached))
        for level in range(self._highest):
            self._raise(level, now_ms - AGE_STEP_MS * self._highest)

    def _raise(self, level: int, born_ms: int) -> None:
        """Moves the lines of a stage that were born by some time to the highest level."""
        stage, top = self._stages[level], self._stages[self._highest]
        for _ in range(1 + int(len(stage) * _MANY)):
            oldest = stage.oldest()
            if oldest is None or oldest.born_ms > born_ms:
                return
            self._move([oldest], top)
        rising, staying = stage.parts(born_ms)
        if len(rising) < len(staying):
            self._move(rising, top)
            return
        self._stages[level] = Stage()
        self._move(staying, self._stages[level])
        few, many = sorted((stage, top), key=len)
        self._stages[self._highest] = many
        self._move(few.lines(), many)

    def _move(self, lines: Iterable[Line], stage: Stage) -> None:
        for line in lines:
            line.number = next(self._numbers)
            stage.put(line)
        if len(stage) > 2 * self._size + _SLACK:
            stage.tidy()
