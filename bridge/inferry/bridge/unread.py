"""Clients that read nothing: aiohttp waits for them for ever, and so would what they opened."""

import asyncio


class UnreadTimer:
    """Hangs up on a client while it takes nothing of what waits for it.

    Args:
        idle_s: How long it may take nothing.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport) -> None:
        """More waits for the client than is kept: from now on it has to take some of it."""
        loop, waits = asyncio.get_running_loop(), transport.get_write_buffer_size()
        self._timer = loop.call_later(self._idle_s, self._look, transport, waits)

    def stop(self) -> None:
        """It has taken enough, or has gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport, waited: int) -> None:
        if transport.get_write_buffer_size() < waited:
            self.start(transport)
        else:
            transport.abort()
