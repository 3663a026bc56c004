"""Which server has a slot for which task: chosen here, before anything is committed."""

from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.free_slots import FreeSlots
from inferry.server.fleet.record import ServerStatus
from inferry.server.loop import wait_for
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.replica.tenure import Tenure
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of, type_of


class Allocator:
    """Gives slots to tasks while it is open, and knows when to look again.

    Args:
        fleet: The servers and their slots.
        backlog: What waits.
        pauses: The types that are held back.
        tenure: Whether this replica may give them away.
    """

    def __init__(self, fleet: Fleet, backlog: Backlog, pauses: PausedTypes, tenure: Tenure) -> None:
        self._fleet = fleet
        self._backlog = backlog
        self._pauses = pauses
        self._tenure = tenure
        self._open = False
        #: Set when a waiting task may find a free slot.
        self._claimable = fleet.claimable

    def open(self) -> None:
        """Begins to give slots away."""
        self._open = True
        self.wake()

    def close(self) -> None:
        """Gives no more slots away: all tasks wait."""
        self._open = False

    def wake(self) -> None:
        """Has the scheduler look whether a waiting task finds a free slot."""
        self._claimable.set()

    def slot_free(self) -> None:
        """Has it look if anything waits: a slot is free."""
        if self._backlog.ready:
            self.wake()

    async def woken(self, within_s: float | None) -> None:
        """Waits until the scheduler should look, or so long; None waits for as long as it takes."""
        await wait_for(self._claimable, within_s)

    def next_due_ms(self, now_ms: int) -> int | None:
        """Tells when it should look by itself: a delayed task or a resting server is due then."""
        due = (self._fleet.next_rested_ms(now_ms), self._backlog.next_due_ms())
        return min((at_ms for at_ms in due if at_ms is not None), default=None)

    def reachable(self, route: str) -> bool:
        """Whether own servers could take a route's tasks, had they a free slot."""
        return type_of(route) not in self._pauses and any(
            member.owned and member.status not in (ServerStatus.OFFLINE, ServerStatus.DRAINING)
            for member in self._fleet.capable(route)
        )

    def free_server(self, record: TaskRecord, now_ms: int) -> str | None:
        """Picks a server for a new task; None if it has to wait, or to let others go first."""
        spec, backlog = record.spec, self._backlog
        route = route_of(spec.type, spec.capabilities)
        if not self._gives or record.not_before_ms > now_ms or spec.type in self._pauses:
            return None
        # When the scheduler is about to look, free slots may be for those that wait.
        if backlog.waits(route) or (backlog.ready and self._claimable.is_set()):
            return None
        return self._fleet.choose(route, now_ms)

    @property
    def _gives(self) -> bool:
        return self._open and self._tenure.holds

    def allocate(self, now_ms: int, limit: int) -> dict[str, list[str]]:
        """Gives tasks that are due to servers, whose slots are reserved for them.

        Returns:
            Ids of tasks by server; each of these claims has to come back by ``Ledger.claimed``.
        """
        # Before looking: whatever changes after this makes another round.
        self._claimable.clear()
        self._backlog.wake(now_ms)
        if not self._gives:
            return {}
        slots = FreeSlots(self._fleet, now_ms)

        def able(route: str) -> bool:
            return type_of(route) not in self._pauses and slots.suit(route)

        chosen = self._backlog.allocate(able, slots.take, now_ms, limit)
        for server_id, task_ids in chosen.items():
            self._fleet.reserve(server_id, len(task_ids))
        if sum(map(len, chosen.values())) == limit:
            self.wake()
        return chosen
