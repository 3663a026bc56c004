"""When the next timeout of a task may run out: known without asking the store again and again."""

import asyncio

from inferry.server.clock import Clock, nap_s
from inferry.server.loop import wait_for


class Alarm:
    """Rings at the earliest time that it was told of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_ms = 0
        self._sooner = asyncio.Event()

    def set(self, at_ms: int) -> None:
        """Is to ring at this time, whatever it was told before."""
        self._at_ms = at_ms

    def note(self, at_ms: int) -> None:
        """Is to ring at this time or before; 0 is no time."""
        if 0 < at_ms < self._at_ms:
            self._at_ms = at_ms
            self._sooner.set()

    async def ring(self) -> None:
        """Waits until its time has come."""
        while left_s := nap_s(self._clock.now_ms(), self._at_ms):
            self._sooner.clear()
            await wait_for(self._sooner, left_s)
