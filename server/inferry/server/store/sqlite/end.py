"""A SQLite file as an end of a move."""

from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import islice
from pathlib import Path
from secrets import token_hex

import apsw

from inferry.server.store import POSITION_BITS, StoreError
from inferry.server.store.migrations import load_migrations
from inferry.server.store.queries import load_queries
from inferry.server.store.rows import EVENT, TASK, Row
from inferry.server.store.sqlite.connections import (
    create_file,
    empty_log,
    open_reader,
    open_writer,
)
from inferry.server.store.sqlite.lockfile import LockedError, LockFile
from inferry.server.store.sqlite.migrate import migrate
from inferry.server.store.sqlite.moved import refuse_half_moved, source_of_move
from inferry.server.store.sqlite.queries import FOLDER
from inferry.server.store.transfer.end import MARK, InUseError, NotEmptyError, not_of, other_version
from inferry.server.store.transfer.layout import CONTENT, TABLES, Table

_MIGRATIONS = load_migrations(FOLDER)
_OWN = load_queries(
    FOLDER,
    {
        "bits": str(POSITION_BITS),
        "mask": str((1 << POSITION_BITS) - 1),
        "task": ", ".join(TASK),
        "event": ", ".join(EVENT),
    },
    "transfer.sql",
)
#: What of a row is kept, where that is not all: its first columns.
_KEPT = {
    "epochs": ("number", "tag"),
    "tasks": TASK,
    "events": ("task_number", *EVENT, "position"),
}
#: Kept by other stores alone.
_PASSED_OVER = "horizons"
#: The log is written back when it has so many pages.
_LOG_PAGES = 1_000


class SqliteEnd:
    """``End`` in a file.

    Args:
        path: The database file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.place = f"sqlite:{path}"
        self._path = str(path)
        self._lock = LockFile(Path(f"{path}.lock"))
        self._connection: apsw.Connection | None = None

    async def open_source(self) -> None:
        """See ``End.open_source``."""
        try:
            self._open_source()
        except (apsw.Error, OSError, StoreError) as error:
            raise await self._failed(error) from error

    async def open_target(self, source: str) -> bool:
        """See ``End.open_target``."""
        try:
            self._take_lock()
            create_file(self._path)
            self._connection = db = open_writer(self._path)
            db.wal_autocheckpoint(_LOG_PAGES)
            migrate(db, _MIGRATIONS)
            return self._mark(db, source)
        except (apsw.Error, OSError, StoreError) as error:
            raise await self._failed(error) from error

    async def rows(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        """See ``End.rows``."""
        query = _OWN.get(table.name) or (
            f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {', '.join(table.key)}"  # noqa: S608
        )
        try:
            found = self._db.cursor().execute(query)
            while page := list(islice(found, table.page)):
                yield page
        except apsw.Error as error:
            raise self._refusal(str(error)) from error

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        """See ``End.put``."""
        if table.name == _PASSED_OVER:
            return
        columns = _KEPT.get(table.name, table.columns)
        query = _OWN.get(f"put_{table.name}") or (
            f"INSERT INTO {table.name} ({', '.join(columns)}) "  # noqa: S608
            f"VALUES ({', '.join('?' * len(columns))})"
        )
        width = len(columns)
        self._transact(lambda db: db.executemany(query, (row[:width] for row in rows)))

    async def complete(self) -> None:
        """See ``End.complete``."""
        self._transact(lambda db: db.execute(_OWN["count_waiting"]))

    async def finish(self) -> None:
        """See ``End.finish``."""
        self._transact(lambda db: db.execute(f"DROP TABLE {MARK}"))
        try:
            empty_log(self._db)
        except apsw.Error as error:
            raise self._refusal(str(error)) from error

    async def close(self) -> None:
        """See ``End.close``."""
        if self._connection is not None:
            self._connection.close(force=True)
            self._connection = None
        self._lock.release()

    @property
    def _db(self) -> apsw.Connection:
        if self._connection is None:
            raise self._refusal("it is not open")
        return self._connection

    def _open_source(self) -> None:
        if not Path(self._path).is_file():
            raise StoreError("there is no such file")
        self._take_lock()
        self._connection = db = open_reader(self._path)
        refuse_half_moved(db)
        version = db.pragma("user_version")
        if version != len(_MIGRATIONS):
            raise other_version(version, len(_MIGRATIONS))

    def _take_lock(self) -> None:
        try:
            self._lock.acquire()
        except LockedError as error:
            raise InUseError(str(error)) from error

    def _mark(self, db: apsw.Connection, source: str) -> bool:
        before = source_of_move(db)
        if before is not None and before != source:
            raise not_of(before)
        found = " UNION ALL ".join(f"SELECT 1 FROM {name}" for name in CONTENT)  # noqa: S608
        if before is None and db.execute(f"{found} LIMIT 1").fetchall():
            raise NotEmptyError
        with db:
            for table in TABLES:
                if table.name != _PASSED_OVER:
                    db.execute(f"DELETE FROM {table.name}")  # noqa: S608
            db.execute(f"CREATE TABLE IF NOT EXISTS {MARK} (source TEXT NOT NULL, run TEXT)")
            db.execute(f"DELETE FROM {MARK}")  # noqa: S608
            db.execute(f"INSERT INTO {MARK} VALUES (?, ?)", (source, token_hex(8)))  # noqa: S608
        return before is not None

    def _transact(self, work: Callable[[apsw.Connection], object]) -> None:
        try:
            with self._db as db:
                work(db)
        except apsw.Error as error:
            raise self._refusal(str(error)) from error

    async def _failed(self, error: Exception) -> StoreError:
        await self.close()
        refusal = self._refusal(str(error))
        return InUseError(str(refusal)) if isinstance(error, InUseError) else refusal

    def _refusal(self, why: str) -> StoreError:
        return StoreError(f"cannot use {self.place}: {why}")
