"""What can be seen of the queue: where tasks stand in it, what waits, which types are paused."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from inferry.server.clock import Clock
from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.signals import Place
from inferry.server.fleet.fleet import Fleet
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.missing import pair_of
from inferry.server.queue.pauses import PausedTypes
from inferry.server.queue.room import Room
from inferry.server.queue.type_counts import TypeCount
from inferry.server.store import Store
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of, type_of

#: Tenants of a type that are told, those with the most tasks.
_TENANTS = 20


@dataclass(frozen=True, slots=True)
class TenantShare:
    """The tasks of one type that wait for one tenant."""

    tenant: str
    #: Delayed ones included.
    waiting: int
    #: Turns that the tenant gets for each one of another.
    turns: float


@dataclass(frozen=True, slots=True)
class TypeState:
    """The tasks of one type."""

    type: str
    count: TypeCount
    #: None when it is not paused.
    pause: PausedType | None
    #: Since when its oldest task that is due waits, of those in memory; 0 if none does.
    oldest_ms: int
    #: Whose tasks wait, the most first.
    tenants: Sequence[TenantShare]


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue as a whole."""

    #: Tasks that wait, those that are being claimed included.
    waiting: int
    #: Tasks that may wait.
    limit: int
    #: Tasks that left the queue in the last minute.
    left_last_minute: int
    #: By name: those that wait or are paused.
    types: Sequence[TypeState]


class QueueView:
    """Looks at the queue and changes nothing.

    Args:
        backlog: The queue.
        room: How much may wait.
        pauses: Which types are held back.
        store: Counts what is not in memory.
        clock: Tells the time.
        weights: Turns of a tenant for each one of another; 1 if it is not named.
        fleet: The servers: without one that is there nobody can tell when a task starts.
    """

    def __init__(
        self,
        backlog: Backlog,
        room: Room,
        pauses: PausedTypes,
        store: Store,
        clock: Clock,
        catch_up: CatchUp,
        weights: Mapping[str, float],
        fleet: Fleet,
    ) -> None:
        self._fleet = fleet
        self._weights = weights
        self._backlog = backlog
        self._store = store
        self._room = room
        self._pauses = pauses
        self._clock = clock
        self._catch_up = catch_up

    def place_of(self, record: TaskRecord) -> Place | None:
        """Tells where a task stands in the queue; None if it does not wait for its turn."""
        return self.places_of([record]).get(record.spec.id)

    def places_of(self, records: Collection[TaskRecord]) -> dict[str, Place]:
        """Tells where tasks stand in the queue, by id: of those that wait for their turn."""
        now = self._clock.now_ms()
        places: dict[str, Place] = {}
        reached: dict[str, bool] = {}
        going = [record for record in records if record.spec.type not in self._pauses]
        for record, position, exact in self._backlog.positions_of(going, now):
            route = route_of(record.spec.type, record.spec.capabilities)
            if route not in reached:
                reached[route] = self._fleet.reaches(route)
            wait_ms = self._backlog.eta_ms(record, position) if reached[route] else None
            starts_ms = 0 if wait_ms is None else now + wait_ms
            places[record.spec.id] = Place(position, starts_ms, exact)
        return places

    def pause_of(self, task_type: str) -> PausedType | None:
        """Tells why and since when a type is paused; None if it is not."""
        return self._pauses.get(task_type)

    @property
    def waiting(self) -> int:
        """How many tasks wait, those that are being claimed included."""
        return len(self._backlog)

    def oldest(self) -> dict[str, int]:
        """Tells since when the oldest task that is due waits, by type; of those in memory."""
        found: dict[str, int] = {}
        for route, since_ms in self._backlog.oldest.items():
            name = type_of(route)
            found[name] = min(since_ms, found.get(name, since_ms))
        return found

    def counts(self) -> dict[str, TypeCount]:
        """Counts what waits by type; what is delayed of it is not told apart where it is long."""
        return self._backlog.types()

    async def state(self) -> QueueState:
        """Tells what waits, in all and by type."""
        await self._catch_up.now()
        counts, oldest, tenants = await self._counts(), self.oldest(), self._tenants()
        names = sorted(counts.keys() | set(self._pauses))
        return QueueState(
            waiting=self.waiting,
            limit=self._room.rules.limit,
            left_last_minute=self._room.left_last_minute,
            types=[self._type(name, counts.get(name), oldest, tenants) for name in names],
        )

    async def type_state(self, task_type: str) -> TypeState:
        """Tells what waits of a type, and whether it is paused."""
        counts = await self._counts()
        return self._type(task_type, counts.get(task_type), self.oldest(), self._tenants())

    def _tenants(self) -> dict[str, list[TenantShare]]:
        counts = Counter(self._backlog.window.missed.pairs)
        for line, count in self._backlog.held.items():
            counts[pair_of(line)] += count
        found: dict[str, list[TenantShare]] = defaultdict(list)
        for (tenant, name), count in counts.items():
            found[name].append(TenantShare(tenant, count, self._weights.get(tenant, 1.0)))
        return {
            name: sorted(shares, key=lambda share: (-share.waiting, share.tenant))[:_TENANTS]
            for name, shares in found.items()
        }

    async def _counts(self) -> dict[str, TypeCount]:
        """Counts what waits by type: what is delayed of it the store knows if memory does not."""
        if not self._backlog.window.missing:
            return self._backlog.types()
        delayed = await self._store.delayed_counts(self._clock.now_ms())
        return {
            name: TypeCount(max(0, count.total - delayed.get(name, 0)), delayed.get(name, 0))
            for name, count in self._backlog.types().items()
        }

    def _type(
        self,
        name: str,
        count: TypeCount | None,
        oldest: Mapping[str, int],
        tenants: Mapping[str, Sequence[TenantShare]],
    ) -> TypeState:
        return TypeState(
            type=name,
            count=count or TypeCount(0, 0),
            pause=self._pauses.get(name),
            oldest_ms=oldest.get(name, 0),
            tenants=tenants.get(name, ()),
        )
