"""Renews a replica's lease."""

import asyncio

import structlog

from inferry.server.engine.allocator import Allocator
from inferry.server.loop import Loop
from inferry.server.replica.tenure import Tenure
from inferry.server.store import StoreError
from inferry.server.store.shared import Shared

#: Renewals in the time of a lease.
_RENEWALS = 3
#: Between two tries while the store cannot be asked: a share of that time.
_TRIES = 10

_log = structlog.get_logger(__name__)


class Renewal(Loop):
    """Keeps the tenure, as long as the store can be asked.

    Args:
        shared: Has the lease.
        tenure: What this replica knows of it.
        allocator: Is woken when it may give tasks away again.
        lease_ms: How long a lease is.
    """

    def __init__(self, shared: Shared, tenure: Tenure, allocator: Allocator, lease_ms: int) -> None:
        super().__init__()
        self._shared = shared
        self.tenure = tenure
        self._allocator = allocator
        self._renewal_s = lease_ms / _RENEWALS / 1_000
        self._failed = False
        #: Whether this replica is about to stop.
        self.draining = False

    async def run_once(self) -> None:
        """Renews it once; what keeps it from that is logged."""
        held, begun_s = self.tenure.holds, self.tenure.begin_renewal()
        try:
            await self._shared.renew(draining=self.draining)
        except StoreError as error:
            self._failed = True
            _log.warning("the lease could not be renewed", error=str(error))
            return
        self._failed = False
        self.tenure.renewed(begun_s)
        if not held:
            self._allocator.wake()

    async def pause(self) -> None:
        """Waits for the next renewal."""
        await asyncio.sleep(self._renewal_s / (_TRIES if self._failed else 1))
