"""The lines in which the tasks of one tenant and route wait. Pure."""

from bisect import bisect_left, insort

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

    __slots__ = ("_since_ms", "flow", "keys", "number", "priority")

    def __init__(self, flow: "Flow", priority: int) -> None:
        self.flow = flow
        self.priority = priority
        self.keys: list[Key] = []
        #: Since when its first task has been passed over.
        self._since_ms = 0
        #: By which ``Levels`` knows it; 0 when it is not there.
        self.number = 0

    @property
    def born_ms(self) -> int:
        """When its first task would have come, were its priority age."""
        return self._since_ms - AGE_STEP_MS * self.priority

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

    @property
    def since_ms(self) -> int:
        """Tells since when its first task has been passed over."""
        return self._since_ms

    def add(self, key: Key, since_ms: int = 0) -> bool:
        """Lets a task in by its age; tells whether it is the first now.

        Args:
            key: Where the task stands.
            since_ms: When the line's last turn was, if it is younger than the task.
        """
        first = not self.keys or key < self.keys[0]
        if first:
            self._since_ms = max(key[0], since_ms)
        insort(self.keys, key)
        return first

    def remove(self, key: Key, turn_ms: int = 0) -> bool:
        """Lets a task out that is in it; tells whether it was the first.

        Args:
            key: Where the task stands.
            turn_ms: When its turn came elsewhere, if that is why.
        """
        index = bisect_left(self.keys, key)
        self._out(index, max(self._since_ms, turn_ms))
        return index == 0

    def take(self, now_ms: int) -> Key:
        """Lets the first task out, as its turn has come."""
        key = self.keys[0]
        self._out(0, now_ms)
        return key

    def _out(self, index: int, since_ms: int) -> None:
        del self.keys[index]
        if index == 0 and self.keys:
            self._since_ms = max(since_ms, self.keys[0][0])


class Flow:
    """The lines of one tenant in one route."""

    __slots__ = ("lines", "tag", "tenant", "weight")

    def __init__(self, tenant: str, tag: float, weight: float) -> None:
        self.tenant = tenant
        self.tag = tag
        self.weight = weight
        #: By priority; none of them empty.
        self.lines: dict[int, Line] = {}

    def line(self, priority: int) -> Line:
        """Finds a line or makes it."""
        line = self.lines.get(priority)
        if line is None:
            line = self.lines[priority] = Line(self, priority)
        return line

    def contest(self, level: int, now_ms: int, before: Key | None = None) -> tuple[int, int]:
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

    def first(self) -> Key:
        """Finds its oldest task; there must be one."""
        return min(line.keys[0] for line in self.lines.values())
