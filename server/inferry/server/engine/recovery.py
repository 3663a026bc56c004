"""Brings the store back after its disk failed, and says meanwhile that the gateway cannot write.

Nothing in memory has to be made anew. Slots, queue and watchers follow commits, a failed one is
not there and never comes back (``Store.recover``), and whoever waited for it was told.
"""

import asyncio
from collections.abc import Callable

import structlog

from inferry.server.engine.allocator import Allocator
from inferry.server.loop import Loop
from inferry.server.store import Store, StoreError

#: Between two tries.
PAUSE_S = 2.0

_log = structlog.get_logger(__name__)


#: Is told whether the gateway can do its work.
SayReady = Callable[[bool], None]


class Recovery(Loop):
    """Tries until the store takes commits again; ``say_ready`` is told how it stands."""

    def __init__(self, store: Store, allocator: Allocator, say_ready: SayReady) -> None:
        super().__init__()
        self._store = store
        self._allocator = allocator
        self._say_ready = say_ready

    async def run_once(self) -> None:
        """Tries once, if the store has failed."""
        if not self._store.failed.is_set():
            return
        self._say_ready(False)
        try:
            await self._store.recover()
        except StoreError as error:
            _log.error("the store is still out of order", error=str(error))
            return
        _log.warning("the store writes again")
        self._say_ready(True)
        # The claims that failed meanwhile.
        self._allocator.wake()

    async def pause(self) -> None:
        """Waits for the store to fail, or a little for the next try."""
        if self._store.failed.is_set():
            await asyncio.sleep(PAUSE_S)
        else:
            await self._store.failed.wait()
