"""Takes up what servers have that this replica looks after from now on.

It is done while others go on: an attempt may end here or there at any moment. What was read counts
only as far as nothing newer has been heard of it; the rest is read again.
"""

import asyncio
from collections.abc import Collection
from collections.abc import Set as AbstractSet

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.restart import end_cut_attempts
from inferry.server.engine.tasks import Engine
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.owners import Owners
from inferry.server.store import Store
from inferry.server.store.shared import Shared
from inferry.server.task.record import TaskRecord

#: How often what has changed since is read again, at most.
_TRIES = 100

_log = structlog.get_logger(__name__)


class Adoption:
    """Adopts servers.

    Args:
        store: Knows what they have.
        shared: Likewise.
        committer: Is asked for what has been followed up.
        ledger: Keeps what they have.
        engine: Ends what was cut.
        fleet: The servers.
        clock: The time.
        cancel_grace_ms: How long a stopped attempt may keep its slot.
    """

    def __init__(
        self,
        *,
        store: Store,
        shared: Shared,
        committer: Committer,
        ledger: Ledger,
        engine: Engine,
        fleet: Fleet,
        clock: Clock,
        cancel_grace_ms: int,
    ) -> None:
        self._store = store
        self._shared = shared
        self._committer = committer
        self._ledger = ledger
        self._engine = engine
        self._fleet = fleet
        self._owners = Owners(fleet)
        self._clock = clock
        self._cancel_grace_ms = cancel_grace_ms
        #: Servers that were taken, or may have been, from a replica whose calls ended with it.
        self.orphans: set[str] = set()
        #: What they had, until it is ended.
        self._cut: dict[AttemptKey, TaskRecord] = {}
        #: One at a time: who finds them taken up has nothing to do.
        self._turn = asyncio.Lock()

    async def adopt(self) -> None:
        """Takes up what own servers have that have come here, and lets them get more.

        Raises:
            StoreError: The store cannot be asked. The next call takes up what this one did not.
        """
        async with self._turn:
            arriving = {member.record.id for member in self._fleet.own_ones if member.arriving}
            if arriving:
                await self._take_up(arriving)

    async def end_cut(self) -> None:
        """Ends what servers had whose calls were cut, as far as it was taken up.

        Raises:
            UnavailableError: The store cannot write. The next call ends what this one did not.
        """
        while self._cut:
            attempt, record = next(iter(self._cut.items()))
            await end_cut_attempts(self._engine, [record], self._fleet)
            self._cut.pop(attempt, None)

    async def _take_up(self, server_ids: AbstractSet[str]) -> None:
        records = await self._take_slots(server_ids)
        since_ms = self._clock.now_ms() - self._cancel_grace_ms
        for task_id, closed in await self._store.stopped(since_ms):
            if closed.server_id in server_ids:
                self._ledger.stop_again(task_id, closed)
        for server_id in server_ids:
            self._owners.admit(server_id)
        _log.info("servers adopted", servers=len(server_ids), attempts=len(records))
        for one in records:
            if one.server_id in self.orphans:
                self._cut[one.spec.id, one.attempt] = one
        self.orphans -= server_ids

    async def _take_slots(self, server_ids: Collection[str]) -> Collection[TaskRecord]:
        adopted: dict[str, TaskRecord] = {}
        missing: Collection[str] | None = None
        for _ in range(_TRIES):
            with self._ledger.reads.begin() as since:
                records = await self._shared.running(server_ids)
                await self._committer.settled()
                wanted = [one for one in records if missing is None or one.spec.id in missing]
                for record in wanted:
                    if since.fresh(record):
                        self._ledger.adopt(record)
                        adopted[record.spec.id] = record
            missing = {one.spec.id for one in wanted} - adopted.keys()
            if not missing:
                break
        return adopted.values()
