"""Ends what ran out of time: queue waits, attempts, retention."""

import asyncio

from inferry.server.clock import Clock
from inferry.server.engine.tasks import Engine
from inferry.server.loop import Loop
from inferry.server.store import Store

#: Tasks expired, or purged, in one step.
STEP_LIMIT = 500


class Sweeper(Loop):
    """Looks for deadlines that are over.

    For ``restart_grace_ms`` after its first run no deadline of before ends a task: while the
    gateway was away nobody could report, and nothing was given to a server.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        store: Store,
        clock: Clock,
        interval_ms: int,
        restart_grace_ms: int,
        purge_interval_ms: int,
        tombstone_ms: int,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._store = store
        self._clock = clock
        self._interval_ms = interval_ms
        self._restart_grace_ms = restart_grace_ms
        self._postponed = False
        self._purge_interval_ms = purge_interval_ms
        self._tombstone_ms = tombstone_ms
        self._purge_due_ms = 0

    async def run_once(self) -> None:
        """Expires what is over; now and then drops what has been kept long enough."""
        if not self._postponed:
            await self._engine.postpone(self._restart_grace_ms)
            self._postponed = True
        now = self._clock.now_ms()
        expired = await self._store.expired(now, STEP_LIMIT)
        await asyncio.gather(*(self._engine.expire(task_id) for task_id in expired))
        if now >= self._purge_due_ms:
            purged = await self._engine.purge(STEP_LIMIT, self._tombstone_ms)
            if purged < STEP_LIMIT:
                self._purge_due_ms = now + self._purge_interval_ms

    async def pause(self) -> None:
        """Waits for the next look."""
        await asyncio.sleep(self._interval_ms / 1000)
