"""The queue of this gateway, in memory: fed by commits, in the order of ``fair_queue``.

What is in it follows from what is stored, so a start fills it anew. Tasks that were given to a
server are *being claimed* until the store says so: they neither wait nor are they gone.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from inferry.server.clock import Clock
from inferry.server.errors import QueueFullError
from inferry.server.queue.fair_queue import FairQueue, Waiting
from inferry.server.queue.last_minute import LastMinute
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of, type_of

#: Bounds of what a refused creator is told to wait.
RETRY_SHORTEST_S = 1
RETRY_LONGEST_S = 60
#: This part of a limit should be free again when a refused creator comes back.
_ROOM = 0.1


@dataclass(frozen=True, slots=True)
class TypeCount:
    """The tasks of one type that are in the queue."""

    #: Those that are due.
    waiting: int
    #: Those whose time has not come.
    delayed: int


class Backlog:
    """The tasks that wait, those that are being claimed, and the types that are paused.

    Args:
        limit: Tasks that may wait.
        limit_per_tenant: Tasks that may wait for one tenant.
        clock: Tells the time.
        weights: Turns of a tenant for each one of another; 1 if it is not named.
    """

    def __init__(
        self, limit: int, limit_per_tenant: int, clock: Clock, weights: Mapping[str, float]
    ) -> None:
        #: Tasks that may wait.
        self.limit = limit
        self._limit_per_tenant = limit_per_tenant
        self._clock = clock
        self._queue = FairQueue(weights)
        self._claiming: dict[str, Waiting] = {}
        #: Creations under way that will wait, by tenant.
        self._coming: Counter[str] = Counter()
        self._pauses: dict[str, PausedType] = {}
        #: Tasks that left the queue, by tenant.
        self._left = LastMinute()
        #: Tasks that got a server, by route.
        self._started = LastMinute()

    def __len__(self) -> int:
        return len(self._queue) + len(self._claiming)

    @property
    def ready(self) -> bool:
        """Whether tasks wait that are due."""
        return bool(self._queue.routes)

    @property
    def left_last_minute(self) -> int:
        """Tasks that left the queue in the last minute."""
        return self._left.count(None, self._clock.now_ms())

    @property
    def pauses(self) -> Mapping[str, PausedType]:
        """The paused types by name."""
        return self._pauses

    def paused(self, task_type: str) -> bool:
        """Whether the tasks of a type are held back."""
        return task_type in self._pauses

    def pause_of(self, task_type: str) -> PausedType | None:
        """Tells why and since when a type is paused; None if it is not."""
        return self._pauses.get(task_type)

    def waits(self, route: str) -> bool:
        """Whether tasks of a route wait that are due."""
        return route in self._queue.routes

    def check(self, tenant: str) -> None:
        """Refuses another waiting task when the queue is full.

        Raises:
            QueueFullError: It is, in all or for this tenant; it says when there may be room.
        """
        refusal = self.refusal(tenant)
        if refusal is not None:
            raise refusal

    def refusal(self, tenant: str) -> QueueFullError | None:
        """Tells why another waiting task is refused; None when there is room."""
        waiting = len(self) + self._coming.total()
        if waiting >= self.limit:
            return self._full(f"{waiting} tasks wait", self.limit, None)
        waiting = self._queue.of_tenant(tenant) + self._coming[tenant]
        if waiting >= self._limit_per_tenant:
            return self._full(f"{waiting} tasks of yours wait", self._limit_per_tenant, tenant)
        return None

    def expect(self, tenant: str, count: int = 1) -> None:
        """Keeps room for tasks that are being created; a negative number gives it back."""
        self._coming[tenant] += count
        if not self._coming[tenant]:
            del self._coming[tenant]

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

    def leave(self, task_id: str, *, started: bool) -> None:
        """A task ceased to wait: a server has it, or it ended."""
        task = self._claiming.pop(task_id, None) or self._queue.remove(task_id)
        if task is None:
            return
        now = self._clock.now_ms()
        self._left.note(task.tenant, now)
        if started:
            self._started.note(task.route, now)

    def wake(self, now_ms: int) -> None:
        """Lets the delayed tasks join whose time has come."""
        self._queue.wake(now_ms)

    def allocate(
        self,
        able: Callable[[str], bool],
        place: Callable[[str], str | None],
        now_ms: int,
        limit: int,
    ) -> dict[str, list[str]]:
        """Gives waiting tasks to servers, in their order: they are being claimed from now on.

        Args:
            able: Whether a route's tasks may have a place at all.
            place: Picks the server of a route's next task; None when none is left for it.
            now_ms: The time.
            limit: Tasks at most.

        Returns:
            Ids of tasks by server; each id has to come back by ``leave``, ``enter`` or ``settle``.
        """
        routes = [
            route for route in self._queue.routes if able(route) and not self.paused(type_of(route))
        ]
        given: dict[str, list[str]] = {}
        for task, server_id in self._queue.allocate(routes, place, now_ms, limit):
            self._claiming[task.id] = task
            given.setdefault(server_id, []).append(task.id)
        return given

    def settle(self, task_ids: Iterable[str], *, failed: bool) -> None:
        """Ends the claim of tasks that it did not get: it failed, or they had gone before."""
        for task_id in task_ids:
            task = self._claiming.pop(task_id, None)
            if task is not None and failed:
                self._queue.add(task)

    def next_due_ms(self) -> int | None:
        """Tells when the next delayed task is due; None if none is delayed."""
        return self._queue.next_due_ms()

    def pause(self, paused: PausedType) -> None:
        """Holds the tasks of a type back."""
        self._pauses[paused.type] = paused

    def resume(self, task_type: str) -> None:
        """Ends a pause; no error if there is none."""
        self._pauses.pop(task_type, None)

    def positions_of(
        self, records: Collection[TaskRecord], now_ms: int
    ) -> Iterator[tuple[TaskRecord, int]]:
        """Tells of tasks their places in the queues of their routes, from 1.

        Those that do not wait, are delayed or whose type is paused are left out.
        """
        waiting = [one for one in records if one.waiting and not self.paused(one.spec.type)]
        found = self._queue.positions([one.spec.id for one in waiting], now_ms)
        for record in waiting:
            first = 1 if record.spec.id in self._claiming else None
            position = found.get(record.spec.id, first)
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

    def _full(self, what: str, limit: int, tenant: str | None) -> QueueFullError:
        rate = self._left.per_second(tenant, self._clock.now_ms())
        wait_s = ceil(limit * _ROOM / rate) if rate else RETRY_LONGEST_S
        return QueueFullError(
            f"{what}, the limit is {limit}; try again later",
            retry_after_s=max(RETRY_SHORTEST_S, min(RETRY_LONGEST_S, wait_s)),
            limit=limit,
        )
