"""The order of the tasks of one route: level, then the turns of its tenants, then age. Pure."""

from collections.abc import Collection

from inferry.server.queue.flow import Flow, Key, Line
from inferry.server.queue.levels import Levels
from inferry.server.queue.positions import ahead, played
from inferry.server.queue.turns import Turns

#: Where the first task of a route stands: its level negated, the route's tag, its key.
Head = tuple[int, float, int, str]
#: Where a task is: its tenant, its priority, its key.
Spot = tuple[str, int, Key]


class RouteQueue:
    """The tasks of one route that are due.

    Its lines are in order at any time: whatever concerns one line moves that one.
    """

    def __init__(self, tag: float) -> None:
        #: Its own turn among the routes.
        self.tag = tag
        self._flows: dict[str, Flow] = {}
        self._turns = Turns()
        self._levels = Levels()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._flows)

    def __len__(self) -> int:
        return self._size

    def add(self, tenant: str, weight: float, priority: int, key: Key, since_ms: int = 0) -> None:
        """Lets a task in; see ``Line.add``."""
        flow = self._flows.get(tenant)
        if flow is None:
            flow = self._flows[tenant] = Flow(tenant, self._turns.enter(tenant), weight)
        self._size += 1
        line = flow.line(priority)
        if line.add(key, since_ms):
            self._levels.put(line)

    def remove(self, tenant: str, priority: int, key: Key, turn_ms: int = 0) -> None:
        """Lets a task out that is here; see ``Line.remove``."""
        self._size -= 1
        line = self._flows[tenant].lines[priority]
        if line.remove(key, turn_ms) and not self._prune(line):
            self._levels.put(line)

    def head(self, now_ms: int) -> Head:
        """Finds the task whose turn it is; there must be one. The tag is that of the route."""
        level, line = self._levels.first(now_ms)
        return -level, self.tag, *line.keys[0]

    def take(self, now_ms: int) -> str:
        """Lets the task out whose turn it is; returns its id."""
        _, line = self._levels.first(now_ms)
        flow = line.flow
        self._size -= 1
        _, task_id = line.take(now_ms)
        flow.tag = self._turns.serve(flow.tenant, flow.tag, flow.weight)
        self._prune(line)
        for moved in flow.lines.values():
            self._levels.put(moved)
        return task_id

    def oldest_ms(self) -> int:
        """Tells since when its oldest task waits; a step for each line, and there must be one."""
        return min(flow.first()[0] for flow in self._flows.values())

    def positions(self, wanted: Collection[Spot], now_ms: int) -> dict[str, int]:
        """Tells of tasks that are here how many turns it takes until it is theirs, from 1.

        What comes later is left out. It takes a step for each task of the route, or for each line
        and wanted task, whichever is less; then the turns of others are counted and not played
        through, so that a position may be off by a turn of each tenant.
        """
        time = self._turns.time
        if len(wanted) * len(self._levels) < self._size:
            return {
                key[1]: 1 + ahead(self._flows, time, tenant, priority, key, now_ms)
                for tenant, priority, key in wanted
            }
        missing = {task_id for _, _, (_, task_id) in wanted}
        positions: dict[str, int] = {}
        for position, task_id in enumerate(played(self._flows.values(), time, now_ms), start=1):
            if task_id in missing:
                positions[task_id] = position
                if len(positions) == len(missing):
                    break
        return positions

    def since_ms(self, tenant: str, priority: int) -> int:
        """Tells since when the first task of a line has been passed over; 0 if none is here."""
        flow = self._flows.get(tenant)
        line = None if flow is None else flow.lines.get(priority)
        return 0 if line is None else line.since_ms

    def least_position(self, spot: Spot, now_ms: int) -> int:
        """Estimates the place of a task that is not here, but after those of its line that are."""
        tenant, priority, key = spot
        flow = self._flows.get(tenant)
        if flow is None or priority not in flow.lines:
            return 1
        return 1 + ahead(self._flows, self._turns.time, tenant, priority, key, now_ms)

    def _prune(self, line: Line) -> bool:
        """Forgets what has become empty; tells whether the line has."""
        if line.keys:
            return False
        self._levels.discard(line)
        flow = line.flow
        del flow.lines[line.priority]
        if not flow.lines:
            del self._flows[flow.tenant]
        return True
