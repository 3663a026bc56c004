"""The queue of this gateway, in memory: fed by commits, in the order of ``fair_queue``.

What is in it follows from what is stored, so a start fills it anew. Tasks that were given to a
server are *being claimed* until the store says so: they neither wait nor are they gone.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from inferry.server.clock import Clock
from inferry.server.queue.fair_queue import FairQueue, Waiting
from inferry.server.queue.last_minute import LastMinute
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of, type_of


@dataclass(frozen=True, slots=True)
class TypeCount:
    """The tasks of one type that are in the queue."""

    #: Those that are due.
    waiting: int
    #: Those whose time has not come.
    delayed: int


class Backlog:
    """The tasks that wait, and those that are being claimed.

    Args:
        clock: Tells the time.
        weights: Turns of a tenant for each one of another; 1 if it is not named.
    """

    def __init__(self, clock: Clock, weights: Mapping[str, float]) -> None:
        self._clock = clock
        self._queue = FairQueue(weights)
        self._claiming: dict[str, Waiting] = {}
        #: Tasks that got a server, by route.
        self._started = LastMinute()

    def __len__(self) -> int:
        return len(self._queue) + len(self._claiming)

    @property
    def ready(self) -> bool:
        """Whether tasks wait that are due."""
        return bool(self._queue.routes)

    def of_tenant(self, tenant: str) -> int:
        """Counts what waits of a tenant; what is being claimed counts no more."""
        return self._queue.of_tenant(tenant)

    @property
    def routes(self) -> Collection[str]:
        """The routes of the tasks that wait and are due."""
        return self._queue.routes

    def waits(self, route: str) -> bool:
        """Whether tasks of a route wait that are due."""
        return route in self._queue.routes

    def enter(self, record: TaskRecord) -> None:
        """A task began to wait."""
        spec = record.spec
        self._claiming.pop(spec.id, None)
        route = route_of(spec.type, spec.capabilities)
        self._queue.add(
            Waiting(
                spec.id, route, spec.tenant, spec.priority, record.queued_ms, record.not_before_ms
            )
        )

    def leave(self, task_id: str, *, started: bool) -> Waiting | None:
        """A task ceased to wait: a server has it, or it ended. None if it was not here."""
        task = self._claiming.pop(task_id, None) or self._queue.remove(task_id)
        if task is not None and started:
            self._started.note(task.route, self._clock.now_ms())
        return task

    def wake(self, now_ms: int) -> None:
        """Lets the delayed tasks join whose time has come."""
        self._queue.wake(now_ms)

    def allocate(
        self,
        able: Callable[[str], bool],
        choose: Callable[[str], str | None],
        now_ms: int,
        limit: int,
    ) -> dict[str, list[str]]:
        """Gives waiting tasks to servers, in their order: they are being claimed from now on.

        Args:
            able: Whether a route's tasks may go at all.
            choose: Picks the server of a route's next task; None when none is left for it.
            now_ms: The time.
            limit: Tasks at most.

        Returns:
            Ids of tasks by server; each has to come back by ``leave``, ``enter`` or ``end_claim``.
        """
        routes = [route for route in self._queue.routes if able(route)]
        chosen: dict[str, list[str]] = {}
        for task, server_id in self._queue.allocate(routes, choose, now_ms, limit):
            self._claiming[task.id] = task
            chosen.setdefault(server_id, []).append(task.id)
        return chosen

    def end_claim(self, task_ids: Iterable[str], *, failed: bool) -> None:
        """Ends the claim of tasks that it did not get: it failed, or they had gone before."""
        for task_id in task_ids:
            task = self._claiming.pop(task_id, None)
            if task is not None and failed:
                self._queue.add(task)

    def next_due_ms(self) -> int | None:
        """Tells when the next delayed task is due; None if none is delayed."""
        return self._queue.next_due_ms()

    def positions_of(
        self, records: Collection[TaskRecord], now_ms: int
    ) -> Iterator[tuple[TaskRecord, int]]:
        """Tells of tasks their places in the queues of their routes, from 1.

        Those that do not wait or are delayed are left out.
        """
        waiting = [one for one in records if one.waiting]
        positions = self._queue.positions([one.spec.id for one in waiting], now_ms)
        for record in waiting:
            first = 1 if record.spec.id in self._claiming else None
            position = positions.get(record.spec.id, first)
            if position is not None:
                yield record, position

    def eta_ms(self, record: TaskRecord, position: int) -> int | None:
        """Estimates how long a task at this position has to wait if its route goes on as it did.

        Returns:
            None if no task of the route got one in the last minute: nobody can tell.
        """
        route = route_of(record.spec.type, record.spec.capabilities)
        rate = self._started.per_second(route, self._clock.now_ms())
        return ceil(1_000 * position / rate) if rate else None

    def types(self) -> dict[str, TypeCount]:
        """Counts what waits by type. It takes a step for each line and each delayed task."""
        waiting, delayed = Counter[str](), Counter[str]()
        for route, count in self._queue.due_by_route().items():
            waiting[type_of(route)] += count
        for task in self._claiming.values():
            waiting[type_of(task.route)] += 1
        for route, count in self._queue.delayed_by_route().items():
            delayed[type_of(route)] += count
        return {name: TypeCount(waiting[name], delayed[name]) for name in waiting | delayed}
