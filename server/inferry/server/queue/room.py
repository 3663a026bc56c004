"""Whether another task may wait, and when there may be room if it may not. Pure."""

from dataclasses import dataclass
from math import ceil

from inferry.server.clock import Clock
from inferry.server.errors import QueueFullError
from inferry.server.queue.last_minute import LastMinute

#: Bounds of what a refused creator is told to wait.
RETRY_SHORTEST_S = 1
RETRY_LONGEST_S = 60
#: This part of a limit should be free again when a refused creator comes back.
_FREE_AGAIN = 0.1


@dataclass(frozen=True, slots=True)
class RoomRules:
    """How much may wait."""

    #: Tasks in the gateway.
    limit: int
    #: Tasks of one tenant.
    limit_per_tenant: int


class Room:
    """The room in the queue: the store asks for it when a task is to wait.

    Args:
        rules: How much may.
        clock: Tells the time.
    """

    def __init__(self, rules: RoomRules, clock: Clock) -> None:
        #: How much may wait.
        self.rules = rules
        self._clock = clock
        #: Tasks that left the queue, by tenant.
        self._left = LastMinute()

    @property
    def left_last_minute(self) -> int:
        """Tasks that left the queue in the last minute."""
        return self._left.count(None, self._clock.now_ms())

    def refusal(self, tenant: str, waiting: int, of_tenant: int) -> QueueFullError | None:
        """Tells why another task of a tenant may not wait; None when there is room.

        Args:
            tenant: Whose task it is.
            waiting: Tasks that wait.
            of_tenant: Those of the tenant.
        """
        rules = self.rules
        if waiting >= rules.limit:
            return self._full(f"{waiting} tasks wait", rules.limit, None)
        if of_tenant >= rules.limit_per_tenant:
            return self._full(f"{of_tenant} tasks of yours wait", rules.limit_per_tenant, tenant)
        return None

    def note_left(self, tenant: str) -> None:
        """A task left the queue."""
        self._left.note(tenant, self._clock.now_ms())

    def _full(self, what: str, limit: int, tenant: str | None) -> QueueFullError:
        rate = self._left.per_second(tenant, self._clock.now_ms())
        wait_s = ceil(limit * _FREE_AGAIN / rate) if rate else RETRY_LONGEST_S
        return QueueFullError(
            f"{what}, the limit is {limit}; try again later",
            retry_after_s=max(RETRY_SHORTEST_S, min(RETRY_LONGEST_S, wait_s)),
            limit=limit,
        )
