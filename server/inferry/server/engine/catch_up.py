"""What others changed of servers and pauses is known here before anybody is shown it.

Whoever registers a server at one replica and asks for it at the next finds it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from inferry.server.store import StoreError
from inferry.server.store.unbroken import to_its_end

#: While the store does not answer, what was known last has to do.
_PATIENCE_S = 1.0


class CatchUp:
    """Catches up with the other replicas."""

    def __init__(self) -> None:
        #: Follows what they changed before it is called; None when there are none.
        self.follow: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def now(self) -> bool:
        """Waits until all is known that was changed before this; tells whether that is so."""
        if self.follow is None:
            return True
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                # Who is broken off leaves nothing half done.
                await to_its_end(self.follow())
            return True
        return False
