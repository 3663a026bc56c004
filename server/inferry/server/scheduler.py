"""Gives waiting tasks to free servers: woken by events, never by polling."""

import asyncio

from inferry.server.clock import Clock
from inferry.server.engine import Engine
from inferry.server.ledger import Ledger
from inferry.server.loop import Loop
from inferry.server.routing import share
from inferry.server.store import Store

CLAIM_LIMIT = 256


class Scheduler(Loop):
    """Claims whenever a task began to wait, a slot became free or a time has come."""

    def __init__(self, engine: Engine, ledger: Ledger, store: Store, clock: Clock) -> None:
        super().__init__()
        self._engine = engine
        self._ledger = ledger
        self._store = store
        self._clock = clock

    async def run_once(self) -> None:
        """Claims what can be claimed now, in one commit."""
        self._ledger.claimable.clear()
        if self._ledger.carrier is None:
            return
        candidates = self._ledger.fleet.candidates(self._clock.now_ms())
        shares = share(candidates, self._ledger.backlog.routes, CLAIM_LIMIT)
        await asyncio.gather(*(self._engine.claim(one) for one in shares))

    async def pause(self) -> None:
        """Waits for a wake-up, or until a delayed task or a resting server is due."""
        now = self._clock.now_ms()
        due = [self._ledger.fleet.next_rested_ms(now)]
        if self._ledger.backlog.routes:
            due.append(await self._store.next_due_ms(now))
        soonest = min((at for at in due if at is not None), default=None)
        wait_s = None if soonest is None else (soonest - now) / 1000
        try:
            async with asyncio.timeout(wait_s):
                await self._ledger.claimable.wait()
        except TimeoutError:
            pass
