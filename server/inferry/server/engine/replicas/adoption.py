"""Takes up what servers have that this replica looks after from now on.

It is done while others go on: an attempt may end here or there at any moment. What was read counts
only as far as nothing newer has been heard of it; the rest is read again.
"""

from collections.abc import Collection

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.restart import end_cut_attempts
from inferry.server.engine.tasks import Engine
from inferry.server.fleet.fleet import Fleet
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

    async def adopt(self, server_ids: Collection[str], *, cut: bool) -> None:
        """Takes up what servers have, and lets them get more.

        Args:
            server_ids: The servers; those are passed over that are not this replica's.
            cut: Whether the calls of the replica that had them have ended with it.
        """
        if not server_ids:
            return
        records = await self._take_slots(server_ids)
        since_ms = self._clock.now_ms() - self._cancel_grace_ms
        for task_id, closed in await self._store.stopped(since_ms):
            if closed.server_id in server_ids:
                self._ledger.stop_again(task_id, closed)
        for server_id in server_ids:
            self._owners.admit(server_id)
        _log.info("servers adopted", servers=len(server_ids), attempts=len(records))
        if cut:
            await end_cut_attempts(self._engine, records, self._fleet)

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
