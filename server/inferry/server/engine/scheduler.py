"""Gives waiting tasks to free servers: woken by events, never by polling."""

import asyncio

from inferry.server.clock import Clock, nap_s
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.tasks import Engine
from inferry.server.loop import Loop

#: Tasks given away in one round, so that the loop is not held for long.
ROUND_LIMIT = 256


class Scheduler(Loop):
    """Claims whenever a task began to wait, a slot became free or a time has come."""

    def __init__(self, engine: Engine, allocator: Allocator, clock: Clock) -> None:
        super().__init__()
        self._engine = engine
        self._allocator = allocator
        self._clock = clock

    async def run_once(self) -> None:
        """Gives away what can be given now, a claim a server, all in one commit."""
        now = self._clock.now_ms()
        chosen = self._allocator.allocate(now, ROUND_LIMIT)
        claims = (self._engine.claim(server_id, ids, now) for server_id, ids in chosen.items())
        await asyncio.gather(*claims)

    async def pause(self) -> None:
        """Waits for a wake-up, or until a delayed task or a resting server is due."""
        now = self._clock.now_ms()
        due_ms = self._allocator.next_due_ms(now)
        await self._allocator.woken(None if due_ms is None else nap_s(now, due_ms))
