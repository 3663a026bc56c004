"""The order of the queue: priority, which grows with waiting, then turns. Pure.

The task of the highest level goes first (``flow.Line.level``: priority, and a step for each full
60 s that it has been passed over at the front of its line). Among equal levels the routes that
compete for the same servers take equal turns, within a route its tenants take turns by weight, and
within a tenant the oldest task goes first. The order follows from the tasks and from the turns that
were given; nothing of it needs to be stored. (Design section 6.)
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, KeysView, Mapping
from heapq import heapify, heappop, heapreplace
from operator import attrgetter
from typing import NamedTuple, Self, TypeVar

from inferry.server.queue.flow import Key
from inferry.server.queue.ranked import Ranked
from inferry.server.queue.route_queue import RouteQueue, Spot
from inferry.server.queue.turns import Turns
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of

Slot = TypeVar("Slot")
#: The line of a task: its route, its tenant, its priority.
LineId = tuple[str, str, int]


class Waiting(NamedTuple):
    """A task as the queue sees it."""

    id: str
    #: What it asks of a server: ``route.route_of``.
    route: str
    tenant: str
    #: 0 (last) to 9 (first).
    priority: int
    #: Since when it waits for its turn.
    queued_ms: int
    #: Not given away before; 0 for at once.
    not_before_ms: int = 0

    @classmethod
    def of(cls, record: TaskRecord) -> Self:
        """Sees a task that waits."""
        spec = record.spec
        route = route_of(spec.type, spec.capabilities)
        times = record.queued_ms, record.not_before_ms
        return cls(spec.id, route, spec.tenant, spec.priority, *times)

    @property
    def key(self) -> Key:
        """Tells its place among tasks of its tenant."""
        return self.queued_ms, self.id

    @property
    def line(self) -> LineId:
        """Tells the line that it stands in."""
        return self.route, self.tenant, self.priority


class FairQueue:
    """Waiting tasks, in the order in which they should be given away.

    Args:
        weights: How many turns a tenant gets for each one of another; 1 if it is not named.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._tasks: dict[str, Waiting] = {}
        self._routes: dict[str, RouteQueue] = {}
        self._turns = Turns()
        #: How many there are in each line, delayed ones included.
        self._lines: Counter[LineId] = Counter()
        self._delayed: Ranked[str, int] = Ranked()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def routes(self) -> KeysView[str]:
        """The routes of the tasks that are due."""
        return self._routes.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._tasks

    @property
    def lines(self) -> Counter[LineId]:
        """Counts the tasks of each line that has any, delayed ones included."""
        return self._lines

    def tasks_of(self, lines: Collection[LineId]) -> dict[LineId, list[Waiting]]:
        """Lists the tasks of some lines, each in its order; it takes a step for each task here."""
        found: dict[LineId, list[Waiting]] = {line: [] for line in lines}
        for task in self._tasks.values():
            if task.line in found:
                found[task.line].append(task)
        for tasks in found.values():
            tasks.sort(key=attrgetter("key"))
        return found

    def since_ms(self, line: LineId) -> int:
        """Tells since when the first task of a line has been passed over; 0 if none is due."""
        route, tenant, priority = line
        queue = self._routes.get(route)
        return 0 if queue is None else queue.since_ms(tenant, priority)

    def due_by_route(self) -> Mapping[str, int]:
        """Counts the tasks that are due, by route; it takes a step for each route."""
        return {name: len(queue) for name, queue in self._routes.items()}

    def oldest_by_route(self) -> Mapping[str, int]:
        """Tells since when the oldest task that is due waits, by route."""
        return {name: queue.oldest_ms() for name, queue in self._routes.items()}

    def delayed_by_route(self) -> Mapping[str, int]:
        """Counts the tasks that are delayed, by route; it takes a step for each of them."""
        return Counter(self._tasks[task_id].route for task_id in self._delayed)

    def add(self, task: Waiting, since_ms: int = 0) -> None:
        """Lets a task in, or in again with other properties; see ``Line.add``."""
        self.remove(task.id)
        self._tasks[task.id] = task
        self._lines[task.line] += 1
        if task.not_before_ms:
            self._delayed.put(task.id, task.not_before_ms)
        else:
            self._join(task, since_ms)

    def remove(self, task_id: str, turn_ms: int = 0) -> Waiting | None:
        """Lets a task out; None if it is not there. See ``Line.remove``."""
        task = self._forget(task_id)
        if task is not None and self._delayed.rank(task_id) is None:
            queue = self._routes[task.route]
            queue.remove(task.tenant, task.priority, task.key, turn_ms)
            self._prune(task.route, queue)
        self._delayed.discard(task_id)
        return task

    def wake(self, now_ms: int) -> None:
        """Lets the delayed tasks join whose time has come."""
        while (first := self._delayed.first()) is not None and first[0] <= now_ms:
            self._delayed.discard(first[1])
            self._join(self._tasks[first[1]])

    def next_due_ms(self) -> int | None:
        """Tells when the next delayed task is due; None if none is delayed."""
        first = self._delayed.first()
        return None if first is None else first[0]

    def allocate(
        self,
        routes: Iterable[str],
        choose: Callable[[str], Slot | None],
        now_ms: int,
        limit: int,
    ) -> list[tuple[Waiting, Slot]]:
        """Lets tasks out in the order of their turns, each to a slot.

        Args:
            routes: Which may go; those without tasks that are due do not matter.
            choose: Finds a slot for a route's next task; None when there is none left for it.
            now_ms: The time.
            limit: Tasks at most.
        """
        chosen: list[tuple[Waiting, Slot]] = []
        heads = [
            (queue.head(now_ms), name)
            for name in routes
            if (queue := self._routes.get(name)) is not None
        ]
        heapify(heads)
        while heads and len(chosen) < limit:
            _, name = heads[0]
            slot = choose(name)
            if slot is None:
                heappop(heads)
                continue
            queue = self._routes[name]
            task_id = queue.take(now_ms)
            queue.tag = self._turns.serve(name, queue.tag, 1)
            chosen.append((self._tasks[task_id], slot))
            self._forget(task_id)
            if self._prune(name, queue):
                heappop(heads)
            else:
                heapreplace(heads, (queue.head(now_ms), name))
        return chosen

    def positions(self, task_ids: Iterable[str], now_ms: int) -> dict[str, int]:
        """Tells how many turns of its route it takes until it is a task's, from 1.

        See ``RouteQueue.positions``. Tasks that are not there or are delayed have none.
        """
        wanted: defaultdict[str, list[Spot]] = defaultdict(list)
        for task_id in task_ids:
            task = self._tasks.get(task_id)
            if task is not None and self._delayed.rank(task_id) is None:
                wanted[task.route].append((task.tenant, task.priority, task.key))
        positions: dict[str, int] = {}
        for route, spots in wanted.items():
            positions |= self._routes[route].positions(spots, now_ms)
        return positions

    def least_position(self, task: Waiting, now_ms: int) -> int:
        """Estimates the place of a task that is not here; see ``RouteQueue.least_position``."""
        queue = self._routes.get(task.route)
        spot = task.tenant, task.priority, task.key
        return 1 if queue is None else queue.least_position(spot, now_ms)

    def head(self, route: str, now_ms: int) -> Waiting | None:
        """Finds the task of a route whose turn it is; None if none is due."""
        queue = self._routes.get(route)
        return None if queue is None else self._tasks[queue.head(now_ms)[-1]]

    def _join(self, task: Waiting, since_ms: int = 0) -> None:
        queue = self._routes.get(task.route)
        if queue is None:
            queue = self._routes[task.route] = RouteQueue(self._turns.enter(task.route))
        weight = self._weights.get(task.tenant, 1.0)
        queue.add(task.tenant, weight, task.priority, task.key, since_ms)

    def _forget(self, task_id: str) -> Waiting | None:
        task = self._tasks.pop(task_id, None)
        if task is not None:
            line = task.line
            self._lines[line] -= 1
            if not self._lines[line]:
                del self._lines[line]
        return task

    def _prune(self, name: str, queue: RouteQueue) -> bool:
        """Drops a route without tasks, and with it what its tenants have used."""
        if queue:
            return False
        del self._routes[name]
        return True
