"""Opens the store of a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
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


@asynccontextmanager
async def opened_postgres(url: str) -> AsyncIterator[PostgresStore]:
    """Opens a store in a database for a while."""
    store = PostgresStore(PostgresOptions(url))
    await store.open()
    try:
        yield store
    finally:
        await store.close()
