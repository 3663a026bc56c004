"""How things stand, for the figures: looked at when somebody asks, never kept.

What all replicas share is told by one of them, the one that leads: a sum over all is true then.
Each tells of the servers that it gives tasks to.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.company import Company
from inferry.server.engine.queue_view import QueueView
from inferry.server.fleet.breaker import BreakerState
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import ServerStatus
from inferry.server.store import Store, StoreError
from inferry.server.telemetry.counts import Reading
from inferry.server.telemetry.names import Names
from inferry.wire import figures
from inferry.wire.figures import OTHER, Figure

#: Servers that have series of their own; those that registered first.
SERVERS_LIMIT = 500
#: Hosts of webhooks among which the longest due delivery is looked for.
HOSTS_LIMIT = 1_000

_log = structlog.get_logger(__name__)


class Standing:
    """Looks at queue, store and servers.

    Args:
        store: Knows what runs, and how large it is.
        queue: What waits.
        fleet: The servers.
        company: Tells whether this replica leads.
        types: The types by which tasks are told apart.
        disabled: Tells how many webhooks hear of nothing any more.
        clock: The time.
    """

    def __init__(
        self,
        *,
        store: Store,
        queue: QueueView,
        fleet: Fleet,
        company: Company,
        types: Names,
        disabled: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._store = store
        self._queue = queue
        self._fleet = fleet
        self._company = company
        self._types = types
        self._disabled = disabled
        self._clock = clock

    async def read(self) -> list[Reading]:
        """Gives all that is known now; what the store would have to say is missing if it fails."""
        # Breakers and rests are as of now.
        self._fleet.tick(self._clock.now_ms())
        readings = [*self._servers()]
        if self._company.leads:
            try:
                readings += await self._shared()
            except StoreError as error:
                _log.warning("figures without the store", error=str(error))
        return readings

    async def _shared(self) -> list[Reading]:
        state = await self._queue.state()
        running = await self._store.running_counts()
        size = await self._store.size_bytes()
        due_ms = [due_ms for _, due_ms in await self._store.due_hosts("", HOSTS_LIMIT)]
        waiting = {one.type: one.count.waiting for one in state.types}
        delayed = {one.type: one.count.delayed for one in state.types}
        paused = {one.type: 1 for one in state.types if one.pause is not None}
        now = self._clock.now_ms()
        waits: defaultdict[str, float] = defaultdict(float)
        for name, since_ms in self._queue.oldest().items():
            label = self._types.label(name)
            waits[label] = max(waits[label], (now - since_ms) / 1_000)
        return [
            *self._by_type(figures.TASKS_WAITING, waiting),
            *self._by_type(figures.TASKS_DELAYED, delayed),
            *self._by_type(figures.TASKS_RUNNING, running),
            *self._by_type(figures.TYPE_PAUSED, paused),
            *self._known(figures.OLDEST_WAIT, waits),
            Reading(figures.QUEUE_LIMIT, (), state.limit),
            Reading(figures.WEBHOOK_LAG, (), max(0, now - min(due_ms, default=now)) / 1_000),
            Reading(figures.WEBHOOKS_DISABLED, (), self._disabled()),
            Reading(figures.STORE_BYTES, (), size),
        ]

    def _by_type(self, figure: Figure, counts: Mapping[str, int]) -> Iterator[Reading]:
        told: Counter[str] = Counter()
        for name, count in counts.items():
            told[self._types.label(name)] += count
        return self._known(figure, told)

    def _known(self, figure: Figure, told: Mapping[str, float]) -> Iterator[Reading]:
        for name in (*self._types, OTHER):
            yield Reading(figure, (name,), told.get(name, 0))

    def _servers(self) -> Iterator[Reading]:
        own = sorted(self._fleet.own_ones, key=lambda one: (one.record.created_ms, one.record.id))
        names = Names(SERVERS_LIMIT, (member.record.name for member in own))
        by_name: defaultdict[str, list[Member]] = defaultdict(list)
        for member in own:
            by_name[names.label(member.record.name)].append(member)
        for name, members in by_name.items():
            for figure, value in _of_servers(members):
                yield Reading(figure, (name,), value)


def _of_servers(members: Iterable[Member]) -> Iterator[tuple[Figure, float]]:
    """Tells of servers of one name: what can be added up is."""
    members = [*members]
    yield figures.SERVER_UP, sum(one.status is not ServerStatus.OFFLINE for one in members)
    yield figures.SERVER_SLOTS, sum(one.record.max_concurrent for one in members)
    yield figures.SERVER_SLOTS_USED, sum(one.active for one in members)
    opened = sum(one.breaker.state is BreakerState.OPEN for one in members)
    yield figures.SERVER_BREAKER_OPEN, opened
    lines = [one.line for one in members if one.line is not None]
    if lines:
        yield figures.WORKER_LAG, max(line.lag_ms for line in lines) / 1_000
        yield figures.WORKER_IDLE, sum(line.idle_ms for line in lines) / 1_000
