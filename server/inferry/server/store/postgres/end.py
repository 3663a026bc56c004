"""A PostgreSQL database as an end of a move."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from secrets import token_hex
from typing import Any

from inferry.server.store import POSITION_BITS, StoreError
from inferry.server.store.migrations import load_migrations
from inferry.server.store.postgres.connections import (
    DATABASE_ERRORS,
    Connection,
    bounded,
    connect,
    fetch,
    place_of,
)
from inferry.server.store.postgres.migrate import migrate
from inferry.server.store.postgres.moved import refuse_half_moved, source_of_move
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import FOLDER, QUERIES
from inferry.server.store.queries import load_queries
from inferry.server.store.rows import Row
from inferry.server.store.transfer.end import MARK, InUseError, NotEmptyError, not_of, other_version
from inferry.server.store.transfer.layout import CONTENT, Table

_MIGRATIONS = load_migrations(FOLDER)
_OWN = load_queries(
    FOLDER,
    {"bits": str(POSITION_BITS), "mark": MARK, "tables": ", ".join(CONTENT)},
    "transfer.sql",
)
#: The other store has whole numbers for them.
_TRUTHS = {"asynchronous", "idempotent", "draining", "private_allowed", "ed25519", "own"}
#: Kept by other stores alone.
_PASSED_OVER = "horizon"
#: A statement over all rows may take long.
_LONG_MS = 86_400_000
#: Nothing of the session breaks off what takes long, or waits for the other end.
_PATIENT = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"


class PostgresEnd:
    """``End`` in a database.

    Args:
        options: Where it is.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self.place = place_of(options.url)
        self._options = replace(options, statement_timeout_ms=_LONG_MS)
        self._connection: Connection | None = None
        #: Ours, to know whether another move took the target.
        self._run = token_hex(8)

    async def open_source(self) -> None:
        """See ``End.open_source``."""
        try:
            self._connection = db = await connect(self._options, "inferry move")
            async with db.transaction(readonly=True):
                await _refuse_useless(db)
                # Before anybody is held up.
                await _refuse_living(db)
            # To the move's end: it sees what it saw first, and holds the lock.
            await db.transaction(isolation="repeatable_read").start()
            await db.execute(_PATIENT)
            await db.execute(_OWN["keep_away"])
            await _refuse_living(db)
        except (*DATABASE_ERRORS, StoreError) as error:
            raise await self._failed(error) from error

    async def open_target(self, source: str) -> bool:
        """See ``End.open_target``."""
        try:
            self._connection = db = await connect(self._options, "inferry move")
            await migrate(db, _MIGRATIONS)
            async with db.transaction():
                await db.execute(_PATIENT)
                # Who starts looks for the mark when it has this lock.
                await db.execute(QUERIES["lock_starts"])
                await _refuse_living(db)
                return await self._mark(db, source)
        except (*DATABASE_ERRORS, StoreError) as error:
            raise await self._failed(error) from error

    async def rows(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        """See ``End.rows``."""
        query = _OWN.get(table.name) or _reading(table)
        try:
            async with self._db.transaction():
                await self._db.execute(_PATIENT)
                found = await self._db.cursor(query)
                while page := await found.fetch(table.page):
                    yield [tuple(row) for row in page]
        except DATABASE_ERRORS as error:
            raise self._refusal(error) from error

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        """See ``End.put``."""
        if table.name == _PASSED_OVER:
            return
        query = _OWN.get(f"put_{table.name}")
        columns = (*table.columns, *table.beside)

        async def write(db: Connection) -> None:
            if query is not None:
                await db.executemany(query, rows)
            else:
                await db.copy_records_to_table(
                    table.name, columns=columns, records=_with_truths(columns, rows)
                )

        await self._transact(write)

    async def complete(self) -> None:
        """See ``End.complete``."""

        async def write(db: Connection) -> None:
            for name in ("count_waiting", "sum_waiting", "go_on_numbering", "analyze"):
                await db.execute(_OWN[name])

        await self._transact(write)

    async def finish(self) -> None:
        """See ``End.finish``."""
        await self._transact(lambda db: db.execute(_OWN["finish_move"]))

    async def close(self) -> None:
        """See ``End.close``."""
        db, self._connection = self._connection, None
        if db is not None:
            with suppress(*DATABASE_ERRORS):
                await bounded(db.close(), self._options.connect_timeout_ms)
            db.terminate()

    @property
    def _db(self) -> Connection:
        if self._connection is None:
            raise StoreError(f"cannot use {self.place}: it is not open")
        return self._connection

    async def _mark(self, db: Connection, source: str) -> bool:
        before = await source_of_move(db)
        if before is not None and before != source:
            raise not_of(before)
        if before is None:
            for name in CONTENT:
                if await fetch(db, f"SELECT 1 FROM {name} LIMIT 1"):  # noqa: S608
                    raise NotEmptyError
        await db.execute(_OWN["empty"])
        await db.execute(_OWN["begin_move"])
        await db.execute(_OWN["put_move"], source, self._run)
        return before is not None

    async def _transact(self, work: Callable[[Connection], Awaitable[object]]) -> None:
        try:
            async with self._its_own() as db:
                await work(db)
        except DATABASE_ERRORS as error:
            raise self._refusal(error) from error

    @asynccontextmanager
    async def _its_own(self) -> AsyncIterator[Connection]:
        """Begins a transaction in which the target is this move's."""
        async with self._db.transaction():
            await self._db.execute(_PATIENT)
            if not await fetch(self._db, _OWN["still_this_move"], self._run):
                raise StoreError(f"cannot use {self.place}: another move has begun into it")
            yield self._db

    async def _failed(self, error: BaseException) -> StoreError:
        await self.close()
        kind = InUseError if isinstance(error, InUseError) else StoreError
        return kind(str(self._refusal(error)))

    def _refusal(self, error: BaseException) -> StoreError:
        return StoreError(f"cannot use {self.place}: {str(error) or type(error).__name__}")


async def _refuse_useless(db: Connection) -> None:
    if await db.fetchval("SELECT to_regclass('inferry_schema')") is None:
        raise StoreError("there is no store in it")
    version = await db.fetchval(_OWN["version"])
    if version != len(_MIGRATIONS):
        raise other_version(version, len(_MIGRATIONS))
    await refuse_half_moved(db)


async def _refuse_living(db: Connection) -> None:
    living = [number for (number,) in await fetch(db, _OWN["living"])]
    if living:
        named = ", ".join(map(str, living))
        raise InUseError(f"gateways have it open: replicas {named}; stop them first")


def _reading(table: Table) -> str:
    columns = (f"{one}::int" if one in _TRUTHS else one for one in table.columns)
    chosen = ", ".join((*columns, *table.beside))
    return f"SELECT {chosen} FROM {table.name} ORDER BY {', '.join(table.key)}"  # noqa: S608


def _with_truths(columns: Sequence[str], rows: Sequence[Row]) -> Sequence[Row]:
    places = [place for place, column in enumerate(columns) if column in _TRUTHS]
    if not places:
        return rows
    changed: list[Row] = []
    for row in rows:
        values: list[Any] = [*row]
        for place in places:
            values[place] = bool(values[place])
        changed.append(tuple(values))
    return changed
