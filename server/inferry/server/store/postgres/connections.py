"""Connections to the database: how they are set up, and which errors mean that one is lost."""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from inferry.server.store import StoreError
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.words import read_word, write_word
from inferry.server.store.rows import Row

T = TypeVar("T")

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Borrowed: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    # They take no parameters when they run.
    Connection, Pool, Borrowed = asyncpg.Connection, asyncpg.Pool, PoolConnectionProxy

#: All that an operation on a connection may raise; the driver's own also when that is lost
#: between two steps of one.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

#: The database is not to be had: it is gone or full, or another took its place, which only reads.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
#: A client that is gone is to hold no lock longer than that, nor than this share of its lease.
_IDLE_MS = 10_000
_IDLE_SHARE = 2 / 3


def is_away(error: BaseException, db: Connection | None = None) -> bool:
    """Whether an error says that the database, or this connection to it, is not to be had."""
    # The driver says so of a value that it cannot lay out, too.
    misused = isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
    return isinstance(error, _AWAY) or misused or (db is not None and db.is_closed())


def place_of(url: str) -> str:
    """Names a database without its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def session_settings(options: PostgresOptions) -> dict[str, str]:
    """Lists what a session is set to."""
    return {
        "statement_timeout": str(options.statement_timeout_ms),
        "lock_timeout": str(options.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(
            min(_IDLE_MS, int(options.lease_ms * _IDLE_SHARE))
        ),
        # Statements are small and come again and again: to compile one never pays.
        "jit": "off",
        # Each goes by keys. What is known of the tables' sizes lags behind: a table that was empty
        # a minute ago would be scanned, each time, until somebody has looked at it again.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }


async def connect(options: PostgresOptions, name: str) -> Connection:
    """Opens a connection.

    Raises:
        DATABASE_ERRORS: It cannot be opened.
        StoreError: It is of no use.
    """
    db: Connection = await asyncpg.connect(**_arguments(options, name))
    try:
        await bounded(set_up(db), options.connect_timeout_ms)
    except BaseException:
        db.terminate()
        raise
    return db


def new_pool(options: PostgresOptions, name: str) -> Pool:
    """Makes a pool of connections that read; each is opened when it is needed."""
    pool: Pool = asyncpg.create_pool(
        **_arguments(options, name),
        min_size=0,
        max_size=options.connections,
        init=set_up,
        reset=_leave_as_it_is,
    )
    return pool


async def set_up(db: Connection) -> None:
    """Has a connection read and write words in the store's way."""
    async with db.transaction():
        encoding = await db.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise StoreError(f"the database has the encoding {encoding}: UTF8 is needed")
        await db.set_type_codec(
            "text", schema="pg_catalog", format="binary", encoder=write_word, decoder=read_word
        )


async def fetch(db: Connection | Borrowed, query: str, *values: Any) -> list[Row]:
    """Does a statement and returns its rows."""
    return cast("list[Row]", await db.fetch(query, *values))


async def bounded(work: Awaitable[T], timeout_ms: int) -> T:
    """Awaits work for so long.

    Raises:
        TimeoutError: It took longer.
    """
    async with asyncio.timeout(timeout_ms / 1_000):
        return await work


def _arguments(options: PostgresOptions, name: str) -> dict[str, Any]:
    if options.pgbouncer:
        # A prepared statement or a setting would stay with a session that others get next.
        kept: dict[str, Any] = {"statement_cache_size": 0, "server_settings": {}}
    else:
        kept = {"max_cached_statement_lifetime": 0, "server_settings": session_settings(options)}
    kept["server_settings"]["application_name"] = name
    return {
        "dsn": options.url,
        "timeout": options.connect_timeout_ms / 1_000,
        # The database's own timeout comes first, unless it is frozen.
        "command_timeout": 1.5 * options.statement_timeout_ms / 1_000,
        **kept,
    }


async def _leave_as_it_is(_: object) -> None:
    """Resets nothing: reads leave nothing behind."""
