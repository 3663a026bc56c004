"""Opens the store of a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from inferry.server.store.sqlite.store import SqliteStore


@asynccontextmanager
async def opened(path: Path | str) -> AsyncIterator[SqliteStore]:
    """Opens a store for a while."""
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
