"""The order of the tasks of one route: level, then the turns of its tenants, then age. Pure."""

from math import ceil

from inferry.server.queue.flow import Flow, Key, Line
from inferry.server.queue.ranked import Ranked
from inferry.server.queue.turns import Turns

#: Where the first task of a route stands: its level negated, the route's tag, its key.
Head = tuple[int, float, int, str]
#: The same of a tenant, and how many more tasks of that level it has.
TenantHead = tuple[int, float, int, str, int]

#: Turns that differ by less are equal: sums of 1/weight are not exact.
_EQUAL = 1e-6


class RouteQueue:
    """The tasks of one route that are due."""

    def __init__(self, tag: float) -> None:
        #: Its own turn among the routes.
        self.tag = tag
        self._flows: dict[str, Flow] = {}
        self._turns = Turns()
        self._order: Ranked[str, TenantHead] = Ranked()
        #: When the level of a flow rises next.
        self._rises: Ranked[str, int] = Ranked()
        #: Flows that stand elsewhere in the order by now.
        self._changed: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._flows)

    def __len__(self) -> int:
        return sum(len(line.keys) for flow in self._flows.values() for line in flow.lines.values())

    def add(self, tenant: str, weight: float, priority: int, key: Key) -> None:
        """Lets a task in."""
        flow = self._flows.get(tenant)
        if flow is None:
            flow = self._flows[tenant] = Flow(self._turns.enter(tenant), weight)
        line = flow.lines.get(priority)
        if line is None:
            line = flow.lines[priority] = Line(priority)
        line.add(key)
        self._changed.add(tenant)

    def remove(self, tenant: str, priority: int, key: Key) -> None:
        """Lets a task out that is here."""
        flow = self._flows[tenant]
        line = flow.lines[priority]
        line.remove(key)
        self._prune(tenant, flow, line)

    def head(self, now_ms: int) -> Head:
        """Finds the task whose turn it is; there must be one. The tag is that of the route."""
        level, _, queued_ms, task_id, _ = self._first(now_ms)[0]
        return level, self.tag, queued_ms, task_id

    def take(self, now_ms: int) -> str:
        """Lets the task out whose turn it is; returns its id."""
        tenant = self._first(now_ms)[1]
        flow = self._flows[tenant]
        line = flow.standing(now_ms).line
        _, task_id = line.take(now_ms)
        flow.tag = self._turns.serve(tenant, flow.tag, flow.weight)
        self._prune(tenant, flow, line)
        return task_id

    def ahead(self, tenant: str, priority: int, key: Key, now_ms: int) -> int:
        """Estimates how many tasks go before one that is here, if none comes after it.

        Those of a higher level do, and of its own level as many as the turns say: between its
        tenant's next turn and its own, each of the others has turns by its weight.
        """
        self._settle(now_ms)
        own = self._flows[tenant]
        line = own.lines[priority]
        level = line.level(now_ms) if line.keys[0] == key else priority
        total, older = own.contest(level, now_ms, key)
        total += older
        tag = max(own.tag, self._turns.time) + older / own.weight
        time = self._turns.time
        for name, (top, its_tag, queued_ms, task_id, rivals) in self._order.items():
            if -top < level or name == tenant:
                continue
            flow = self._flows[name]
            higher, peers = flow.contest(level, now_ms, None) if -top > level else (0, rivals)
            turns = (tag - max(its_tag, time)) * flow.weight
            total += higher + min(peers, _turns_until(turns, first=(queued_ms, task_id) < key))
        return total

    def _first(self, now_ms: int) -> tuple[TenantHead, str]:
        self._settle(now_ms)
        first = self._order.first()
        if first is None:
            raise LookupError("no task waits here")
        return first

    def _settle(self, now_ms: int) -> None:
        """Brings the order up to date."""
        while (rise := self._rises.first()) is not None and rise[0] <= now_ms:
            self._rises.discard(rise[1])
            self._changed.add(rise[1])
        for tenant in self._changed:
            flow = self._flows[tenant]
            line, level, rivals, rises_ms = flow.standing(now_ms)
            self._order.put(tenant, (-level, flow.tag, *line.keys[0], rivals))
            if rises_ms is None:
                self._rises.discard(tenant)
            else:
                self._rises.put(tenant, rises_ms)
        self._changed.clear()

    def _prune(self, tenant: str, flow: Flow, line: Line) -> None:
        """Forgets what has become empty."""
        if not line.keys:
            del flow.lines[line.priority]
        if flow.lines:
            self._changed.add(tenant)
            return
        del self._flows[tenant]
        self._order.discard(tenant)
        self._rises.discard(tenant)
        self._changed.discard(tenant)


def _turns_until(turns: float, *, first: bool) -> int:
    """Counts whole turns within a stretch; one at its very end counts for who goes ``first``."""
    whole = round(turns)
    if -_EQUAL < turns - whole < _EQUAL:
        return max(0, whole + first)
    return max(0, ceil(turns))
