"""Forgets the servers that have been gone for long, which nobody took out of the list."""

import asyncio

from inferry.server.clock import Clock
from inferry.server.engine.registry import Registry
from inferry.server.loop import Loop

#: Between two looks: a part of the time after which servers are forgotten, within bounds.
_PART = 10
_SHORTEST_S, _LONGEST_S = 0.1, 60.0


class Absentees(Loop):
    """Looks for servers that are offline and gave no sign of life for a time.

    Args:
        registry: Knows the servers, and forgets them.
        clock: The time.
        after_ms: After how long a server is forgotten.
    """

    def __init__(self, registry: Registry, clock: Clock, after_ms: int) -> None:
        super().__init__()
        self._registry = registry
        self._clock = clock
        self._after_ms = after_ms

    async def run_once(self) -> None:
        """Forgets those that are gone for long enough."""
        now = self._clock.now_ms()
        for member in self._registry.all():
            if member.owned and member.absent_ms(now) >= self._after_ms:
                await self._registry.forget(member.record)

    async def pause(self) -> None:
        """Waits for the next look."""
        part_s = self._after_ms / _PART / 1_000
        await asyncio.sleep(min(_LONGEST_S, max(_SHORTEST_S, part_s)))
