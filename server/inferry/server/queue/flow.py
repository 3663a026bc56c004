"""The lines in which the tasks of one tenant and route wait. Pure."""

from bisect import bisect_left, insort
from typing import NamedTuple

#: A step of priority for each of these that a line has been passed over.
AGE_STEP_MS = 60_000
HIGHEST = 9

#: Where a task stands in its line: since when it waits for its turn, and its id.
Key = tuple[int, str]


class Line:
    """Tasks of one route, tenant and priority, oldest first.

    A sorted list: bisection finds a place in it, and moving some thousand references takes
    microseconds.
    """

    __slots__ = ("_since_ms", "keys", "priority")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.keys: list[Key] = []
        #: Since when its first task has been passed over.
        self._since_ms = 0

    def level(self, now_ms: int) -> int:
        """Tells the aged priority of its first task.

        Age counts from when the task came to the front, or from its own time if that is later. If
        it counted from the task's own time alone, all that a tenant has waiting would outrank what
        the others bring later, and the tenants would no longer take turns.
        """
        passed_ms = now_ms - self._since_ms
        if passed_ms < AGE_STEP_MS:
            return self.priority
        return min(HIGHEST, self.priority + passed_ms // AGE_STEP_MS)

    def reaches_ms(self, level: int) -> int:
        """Tells when it reaches a level above its priority."""
        return self._since_ms + AGE_STEP_MS * (level - self.priority)

    def add(self, key: Key) -> None:
        """Lets a task in by its age."""
        if not self.keys or key < self.keys[0]:
            self._since_ms = key[0]
        insort(self.keys, key)

    def remove(self, key: Key) -> None:
        """Lets a task out that is in it."""
        self._out(bisect_left(self.keys, key), self._since_ms)

    def take(self, now_ms: int) -> Key:
        """Lets the first task out, as its turn has come."""
        key = self.keys[0]
        self._out(0, now_ms)
        return key

    def _out(self, index: int, since_ms: int) -> None:
        del self.keys[index]
        if index == 0 and self.keys:
            self._since_ms = max(since_ms, self.keys[0][0])


class Standing(NamedTuple):
    """How a flow stands among others at one moment."""

    #: The line whose turn it is: of the highest level, with the oldest task.
    line: Line
    level: int
    #: Its tasks of that level.
    rivals: int
    #: When the level of one of its lines rises; None if none can.
    rises_ms: int | None


class Flow:
    """The lines of one tenant in one route."""

    __slots__ = ("lines", "tag", "weight")

    def __init__(self, tag: float, weight: float) -> None:
        self.tag = tag
        self.weight = weight
        #: By priority; none of them empty.
        self.lines: dict[int, Line] = {}

    def line(self, priority: int) -> Line:
        """Finds a line or makes it."""
        line = self.lines.get(priority)
        if line is None:
            line = self.lines[priority] = Line(priority)
        return line

    def standing(self, now_ms: int) -> Standing:
        """Tells how it stands; there must be a line."""
        first, top, rivals, rises_ms = next(iter(self.lines.values())), -1, 0, None
        for line in self.lines.values():
            level = line.level(now_ms)
            peers = len(line.keys) if level == line.priority else 1
            if level > top:
                first, top, rivals = line, level, peers
            elif level == top:
                first = line if line.keys[0] < first.keys[0] else first
                rivals += peers
            if level < HIGHEST:
                at_ms = line.reaches_ms(level + 1)
                rises_ms = at_ms if rises_ms is None else min(rises_ms, at_ms)
        return Standing(first, top, rivals, rises_ms)

    def contest(self, level: int, now_ms: int, before: Key | None) -> tuple[int, int]:
        """Counts the tasks of a higher level, and those of this one; of these all or the older."""
        higher = rivals = 0
        for line in self.lines.values():
            if line.priority > level:
                higher += len(line.keys)
                continue
            first = line.level(now_ms)
            if line.priority == level:
                older = len(line.keys) if before is None else bisect_left(line.keys, before)
                higher += first > level
                rivals += max(0, older - (first > level))
            elif first >= level:
                higher += first > level
                rivals += first == level and (before is None or line.keys[0] < before)
        return higher, rivals
