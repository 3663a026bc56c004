"""Notices between replicas: that there is something new, and nothing else.

A commit that notifies takes a lock that all of the database shares, so it is done apart from the
writes, at most once each moment. A notice that is lost costs nothing but time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from inferry.server.store import StoreError

#: That something was logged; that servers or pauses were changed.
EVENTS, SERVERS = "inferry_events", "inferry_servers"
#: Between two rounds of them: on both channels 100 notices a second, whatever the load is.
PAUSE_S = 0.02

#: Sends a notice on some channels.
Send = Callable[[Collection[str]], Awaitable[object]]


class Notices:
    """Has others told: the first time at once, then what has been gathered in each pause."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._due: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def note(self, channel: str) -> None:
        """Has others told, at once or in a moment."""
        self._due.add(channel)
        if self._sending is None:
            self._sending = asyncio.create_task(self._run(), name="notices")

    async def close(self) -> None:
        """Sends what is due, and no more."""
        if self._sending is not None:
            await self._sending

    async def _run(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, set()
                await self._send(sorted(due))
                await asyncio.sleep(PAUSE_S)
        except StoreError:
            # Others look by themselves before long.
            self._due.clear()
        finally:
            self._sending = None
