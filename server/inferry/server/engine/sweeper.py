"""Ends what ran out of time: queue waits, attempts, retention."""

import asyncio

from inferry.server.clock import SteadyClock
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.company import Company
from inferry.server.engine.tasks import Engine
from inferry.server.loop import Loop
from inferry.server.store import Store

#: Tasks expired, or purged, in one step.
STEP_LIMIT = 500
#: Between two steps: what runs out together is ended together.
_STEP_S = 0.05
#: How often a replica looks whether it is its turn now.
_OTHERS_S = 0.5


class Sweeper(Loop):
    """Looks for deadlines that are over, when there is one.

    Args:
        engine: Ends the tasks.
        store: Knows the deadlines.
        alarm: Is told of each deadline that is new.
        clock: The time.
        company: The other replicas: one for all of them looks.
        restart_grace_ms: For so long after its first run no deadline of before ends a task: while
            the gateway was away nobody could report, and nothing was given to a server.
        purge_interval_ms: Between two looks at what has been kept long enough.
        tombstone_ms: How long the ids of what is dropped are kept.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        store: Store,
        alarm: Alarm,
        clock: SteadyClock,
        company: Company,
        restart_grace_ms: int,
        purge_interval_ms: int,
        tombstone_ms: int,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._store = store
        self._alarm = alarm
        self._clock = clock
        self._company = company
        self._restart_grace_ms = restart_grace_ms
        self._purge_interval_ms = purge_interval_ms
        self._tombstone_ms = tombstone_ms
        self._postponed = False
        self._purge_due_ms = 0

    async def run_once(self) -> None:
        """Expires what is over; now and then drops what has been kept long enough."""
        if not self._company.leads:
            return
        if not self._postponed and not self._company.succeeds:
            await self._engine.postpone(self._restart_grace_ms)
        self._postponed = True
        now = self._clock.now_ms()
        expired = await self._store.expired(now, STEP_LIMIT)
        await self._engine.expire_all(expired)
        if now >= self._purge_due_ms:
            purged = await self._engine.purge(STEP_LIMIT, self._tombstone_ms)
            if purged < STEP_LIMIT:
                self._purge_due_ms = now + self._purge_interval_ms

    async def pause(self) -> None:
        """Waits for the next deadline or purge."""
        await asyncio.sleep(_STEP_S if self._company.leads else _OTHERS_S)
        if not self._company.leads:
            return
        # Before asking: what is committed from here on is noted.
        self._alarm.set(self._purge_due_ms)
        first_ms = await self._store.first_deadline_ms()
        if first_ms is not None:
            self._alarm.note(first_ms)
        elif self._engine.idle:
            # No task is open: now it harms nobody if the time is right again.
            self._clock.catch_up()
        await self._alarm.ring()
