"""What is done to the PostgreSQL of replicas under load."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg

from tests.postgres import PostgresServer, on

#: How long it is away, or has no room for anybody.
_AWAY_S = 1.0
_FULL_S = 3.0
_NO_ROOM = (asyncpg.TooManyConnectionsError, OSError, asyncpg.PostgresError)


class Database:
    """Does it.

    Args:
        server: Which one.
        url: The database of the replicas.
        settings: Those of the server when it is started again.
    """

    def __init__(self, server: PostgresServer, url: str, settings: Mapping[str, str]) -> None:
        self._server = server
        self._settings = settings
        self._url = url
        self._idle: asyncpg.Connection | None = None
        self._locked: Sequence[str] = ()

    async def lock(self, task_ids: Sequence[str]) -> None:
        """Has an idle transaction of somebody else hold locks on tasks, until ``let_go``."""
        self._locked = task_ids
        self._idle = await asyncpg.connect(self._url)
        await self._idle.execute("BEGIN")
        locked = "SELECT id FROM tasks WHERE id = ANY($1) ORDER BY id FOR UPDATE"
        await self._idle.fetch(locked, list(task_ids))

    async def let_go(self) -> None:
        """Ends the idle transaction."""
        if self._idle is not None:
            self._idle.terminate()
            self._idle = None

    async def terminate_all(self) -> None:
        """Ends every connection to the database by ``pg_terminate_backend``."""
        await on(
            self._server.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname IS NOT NULL AND pid <> pg_backend_pid()",
        )
        await self._lock_again()

    async def exhaust(self) -> None:
        """Takes every connection that there is, those of the replicas too, for a while."""
        taken: list[asyncpg.Connection] = []
        try:
            async with asyncio.timeout(_FULL_S):
                while True:
                    try:
                        taken.append(await asyncpg.connect(self._url))
                    except _NO_ROOM:
                        if taken:
                            # Whose place becomes free does not get it back.
                            with suppress(*_NO_ROOM):
                                await taken[0].execute(
                                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                    " WHERE application_name LIKE 'inferry%'"
                                )
                        await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        finally:
            for one in taken:
                one.terminate()

    async def restart(self) -> None:
        """Starts it again in order."""
        await self._away(signal.SIGINT)

    async def crash(self) -> None:
        """Has it crash; it recovers from its log."""
        await self._away(signal.SIGQUIT)

    async def _away(self, how: signal.Signals) -> None:
        await asyncio.to_thread(self._server.stop, how)
        await asyncio.sleep(_AWAY_S)
        await asyncio.to_thread(self._server.start, **self._settings)
        await self._lock_again()

    async def _lock_again(self) -> None:
        if self._idle is not None:
            await self.let_go()
            await self.lock(self._locked)
