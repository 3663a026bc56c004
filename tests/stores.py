"""Which store the gateways of tests use, and where: a file each, or a database of PostgreSQL."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

from tests.postgres import clean, database

FILE, POSTGRES = "file", "postgres"
#: What gateways use unless a test says more.
DEFAULT = os.environ.get("INFERRY_TEST_STORE", FILE)


class Stores:
    """Gives each data directory its store; one that is opened again finds what it left.

    A database is made once and then used by one test after the other.
    """

    def __init__(self) -> None:
        self.kind = DEFAULT
        #: A running PostgreSQL; empty when no test needs one.
        self.server_url = ""
        self._free: list[str] = []
        self._used: dict[Path, str] = {}
        self._made: list[AsyncIterator[str]] = []

    async def url(self, data_dir: Path) -> str | None:
        """Tells what ``store`` has to be set to; None for the default."""
        if self.kind == FILE:
            return None
        if data_dir not in self._used:
            self._used[data_dir] = await self._next()
        return self._used[data_dir]

    def release(self) -> None:
        """Has to be called after each test."""
        self._free += self._used.values()
        self._used.clear()

    async def _next(self) -> str:
        if self._free:
            url = self._free.pop()
            await clean(url)
            return url
        made = _database(self.server_url)
        self._made.append(made)
        return await anext(made)

    async def close(self) -> None:
        """Drops what was made."""
        while self._made:
            await anext(self._made.pop(), "")


async def _database(server_url: str) -> AsyncIterator[str]:
    async with database(server_url) as url:
        yield url


#: Those of the tests that run.
stores = Stores()
