"""Wakes whoever sends."""

import asyncio

from inferry.server.loop import wait_for


class Bell:
    """Is rung when there may be something to send; a ring that nobody waited for is kept."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Rings."""
        self._rung.set()

    def still(self) -> None:
        """Forgets what was rung: to be called before looking."""
        self._rung.clear()

    async def wait(self, within_s: float) -> None:
        """Waits for a ring, or so long."""
        await wait_for(self._rung, within_s)
