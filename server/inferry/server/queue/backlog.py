"""The queue of this gateway: fed by commits, in the order of ``fair_queue``.

Memory holds a bounded window of it (``window``), which follows from what is stored: a start fills
it anew. Tasks that were given to a server are *being claimed* until the store says so: they neither
wait nor are they gone.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import ceil

from inferry.server.clock import Clock
from inferry.server.queue.claims import Claims
from inferry.server.queue.drift import Drift
from inferry.server.queue.fair_queue import FairQueue, LineId, Waiting
from inferry.server.queue.last_minute import LastMinute
from inferry.server.queue.missing import Pair
from inferry.server.queue.type_counts import TypeCount, count_types
from inferry.server.queue.window import Window
from inferry.server.task.record import TaskRecord, TaskSpec
from inferry.server.task.route import route_of, type_of


class Backlog:
    """The tasks that wait, and those that are being claimed.

    Args:
        clock: Tells the time.
        weights: Turns of a tenant for each one of another; 1 if it is not named.
        window: How many of them memory may hold.
    """

    def __init__(self, clock: Clock, weights: Mapping[str, float], window: int) -> None:
        self._clock = clock
        self._queue = FairQueue(weights)
        self.window = Window(self._queue, window)
        #: Is called when memory has too little of a line.
        self.alert: Callable[[], object] = bool
        #: How far positions are exact, by route; those of others are, all of them.
        self.exact_until: Mapping[str, int] = {}
        self._claims = Claims()
        self._drift = Drift()
        #: Tasks that got a server, by route.
        self._started = LastMinute()

    def __len__(self) -> int:
        return len(self._queue) + len(self._claims) + self.window.missing

    @property
    def ready(self) -> bool:
        """Whether tasks wait that are due, and are in memory."""
        return bool(self._queue.routes)

    @property
    def routes(self) -> Collection[str]:
        """The routes of the tasks that wait and are due, as far as they are in memory."""
        return self._queue.routes

    @property
    def oldest(self) -> Mapping[str, int]:
        """Since when the oldest of those waits, by route."""
        return self._queue.oldest_by_route()

    @property
    def held(self) -> Counter[LineId]:
        """Counts the tasks in memory by line, without those that are being claimed."""
        return self._queue.lines

    def waits(self, route: str) -> bool:
        """Whether tasks of a route may wait that are due."""
        return route in self._queue.routes or self.window.missed.of_type(type_of(route)) > 0

    def expect(self, counts: Mapping[Pair, int]) -> None:
        """Begins anew with how many tasks wait, by tenant and type: all of them are to be read."""
        claiming = self._claims.pairs()
        self._claims.forget_doubts()
        self.window.expect({pair: count - claiming[pair] for pair, count in counts.items()})
        self.alert()

    def enter(self, record: TaskRecord) -> None:
        """A task began to wait."""
        self._claims.pop(record.spec.id)
        self._add(Waiting.of(record), back=record.queued_ms < record.updated_ms)

    def leave(self, spec: TaskSpec, *, started: bool) -> None:
        """A task ceased to wait: a server has it, or it ended."""
        route = route_of(spec.type, spec.capabilities)
        here = self._let_out(spec.id, started=started)
        self.window.left(spec.id, (route, spec.tenant, spec.priority), here=here)
        if self.window.low:
            self.alert()
        if started:
            self._started.note(route, self._clock.now_ms())

    def hear(self, record: TaskRecord, *, started: bool) -> None:
        """Another gateway changed a task, which is so now; saying so twice does no harm.

        How much is missing it does not tell: see ``recount``.
        """
        spec = record.spec
        route = route_of(spec.type, spec.capabilities)
        if started:
            self._started.note(route, self._clock.now_ms())
        if not record.waiting:
            self._let_out(spec.id, started=started)
            self.window.left(spec.id, (route, spec.tenant, spec.priority), here=True)
        elif not self._claims.claims(spec.id):
            self._queue.remove(spec.id)
            self.enter(record)

    def recount(self, counts: Mapping[Pair, int]) -> None:
        """Compares with how many tasks wait in all, by tenant and type, in a store with others.

        What memory has heard of them lags behind, or is ahead: only what is off for several looks
        is. Then it is taken over.
        """
        more = Counter(counts)
        more.subtract(self._claims.pairs())
        for (route, tenant, _), count in self._queue.lines.items():
            more[tenant, type_of(route)] -= count
        more.subtract(self.window.missed.pairs)
        if self.window.correct(self._drift.look(more)):
            self.alert()

    def load(self, line: LineId, found: Sequence[Waiting], limit: int) -> None:
        """Takes up what was read of a line; see ``Window.load``."""
        self.window.load(line, found, limit, self._claims)

    def head(self, route: str) -> tuple[LineId, str] | None:
        """Finds the line of a route whose turn it is now, and the task; None if none is due."""
        task = self._queue.head(route, self._clock.now_ms())
        return None if task is None else (task.line, task.id)

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
        given = self._queue.allocate(routes, choose, now_ms, limit)
        if self.window.missing and given:
            self.window.taken((task for task, _ in given), now_ms)
            self.alert()
        for task, server_id in given:
            self._claims.begin(task)
            chosen.setdefault(server_id, []).append(task.id)
        return chosen

    def end_claim(self, task_ids: Iterable[str], *, failed: bool) -> None:
        """Ends the claim of tasks that it did not get: it failed, or others were quicker.

        What became of those is doubtful until somebody says so, or ``ask`` has the store asked.
        """
        for task_id in task_ids:
            task = self._claims.end(task_id)
            if task is not None and failed:
                self._add(task, back=True)
            elif task is not None:
                self._claims.doubt(task)
                self.alert()

    def ask(self, *, patient: bool = False) -> None:
        """Has the store asked for tasks that claims did not get; see ``Claims.take_doubted``."""
        for task in self._claims.take_doubted(long=patient):
            self.window.lose(task)

    def next_due_ms(self) -> int | None:
        """Tells when the next delayed task is due; None if none is delayed."""
        return self._queue.next_due_ms()

    def positions_of(
        self, records: Collection[TaskRecord], now_ms: int
    ) -> Iterator[tuple[TaskRecord, int, bool]]:
        """Tells of tasks their places in the queues of their routes, from 1.

        Those that do not wait or are delayed are left out. The last value says whether it is exact:
        if it is not, the task is not before that place, for memory does not hold all before it.
        """
        waiting = [one for one in records if one.waiting]
        positions = self._queue.positions([one.spec.id for one in waiting], now_ms)
        for record in waiting:
            spec = record.spec
            route = route_of(spec.type, spec.capabilities)
            if self._claims.claims(spec.id):
                yield record, 1, True
            elif spec.id in positions:
                position = positions[spec.id]
                yield record, position, position <= self.exact_until.get(route, position)
            elif record.not_before_ms <= now_ms and self.window.missed.of_type(spec.type):
                yield record, self._queue.least_position(Waiting.of(record), now_ms), False

    def eta_ms(self, record: TaskRecord, position: int) -> int | None:
        """Estimates how long a task at this position has to wait if its route goes on as it did.

        Returns:
            None if no task of the route got one in the last minute: nobody can tell.
        """
        route = route_of(record.spec.type, record.spec.capabilities)
        rate = self._started.per_second(route, self._clock.now_ms())
        return ceil(1_000 * position / rate) if rate else None

    def types(self) -> dict[str, TypeCount]:
        """Counts what waits by type; see ``count_types``."""
        return count_types(self._queue, self._claims.pairs(), self.window.missed.types)

    def _let_out(self, task_id: str, *, started: bool) -> bool:
        """Lets a task out that waits no more; tells whether it was here.

        A turn that came elsewhere is one of its line: else the line would age here for as long as
        this gateway has no slot for it.
        """
        now_ms = self._clock.now_ms() if started else 0
        if self._claims.pop(task_id) is not None:
            return True
        task = self._queue.remove(task_id, now_ms)
        if task is not None and started:
            self.window.taken((task,), now_ms)
        return task is not None

    def _add(self, task: Waiting, *, back: bool) -> None:
        if self.window.admits(task, back=back):
            self._queue.add(task)
        else:
            self.alert()
