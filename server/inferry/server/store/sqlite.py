"""The store in one SQLite file.

One connection writes. A batch's statements run on the event loop's thread and only its COMMIT,
with the write to disk in it, runs in the writer thread: a statement there would have to win the
interpreter's lock back after each step, and against a busy loop that takes milliseconds each time.
Batches take turns, so the connection is never in two threads at once.

A lone operation, which is what an idle gateway has, is committed where it is as long as the disk is
quick: to hand it over and back takes as long as the write itself. A disk that stalls holds the loop
up once; then the thread takes over until it is quick again.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import apsw

from inferry.server.store import Operation, Purge, Result, StoreError
from inferry.server.store.lockfile import LockFile
from inferry.server.store.migrate import load_migrations, migrate
from inferry.server.store.sqlite_queries import FOLDER
from inferry.server.store.sqlite_reads import SqliteReads
from inferry.server.store.sqlite_writes import SqliteWrites

T = TypeVar("T")

_MEMORY = ":memory:"
_MIGRATIONS = load_migrations(FOLDER)
#: A commit that takes less is quick.
_QUICK_S = 0.002
#: Nobody but a stranger with a shell on the file can make us wait at all.
_BUSY_MS = 1_000

_WRITER_PRAGMAS: Mapping[str, str | int] = {
    "journal_mode": "wal",
    "synchronous": "full",
    "temp_store": "memory",
    "cache_size": -65_536,  # KiB
    "wal_autocheckpoint": 1_000,  # pages
    "journal_size_limit": 67_108_864,
}
_READER_PRAGMAS: Mapping[str, str | int] = {"temp_store": "memory", "cache_size": -16_384}


class SqliteStore(SqliteReads):
    """``Store`` in a file, or in memory when the path is ``:memory:``.

    Args:
        path: The database file; its folder must exist. Beside it lies ``<path>.lock``.
        executor: Runs each COMMIT; one thread, or none for tests. Default: a thread of its own,
            none when in memory.
    """

    def __init__(self, path: Path | str, executor: Executor | None = None) -> None:
        super().__init__()
        self._path = str(path)
        self._executor = executor
        self._thread: ThreadPoolExecutor | None = None
        self._lock = LockFile(Path(f"{path}.lock"))
        self._turn = asyncio.Lock()
        #: How long the last commit took.
        self._took_s = _QUICK_S
        self._connections: list[apsw.Connection] = []
        #: Why nothing can be written; empty when all is well.
        self._failure = "it is not open"

    async def open(self) -> None:
        """See ``Store.open``."""
        try:
            self._connect()
        except (apsw.Error, OSError, StoreError) as error:
            self._disconnect()
            raise StoreError(f"cannot open the store {self._path}: {error}") from error
        self._failure = ""

    async def close(self) -> None:
        """See ``Store.close``."""
        async with self._turn:
            self._failure = "it is closed"
            self._disconnect()

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        """See ``Store.commit``. Once begun it ends, even if the caller is cancelled meanwhile."""
        return await asyncio.shield(asyncio.ensure_future(self._commit(operations)))

    async def _commit(self, operations: Sequence[Operation]) -> list[Result]:
        async with self._turn:
            if self._failure:
                raise StoreError(f"cannot write to the store {self._path}: {self._failure}")
            if any(isinstance(operation, Purge) for operation in operations):
                # Old rows may have to come from the disk: the loop does not wait for them.
                return await self._off_loop(lambda: self._commit_now(self._run(operations)))
            results = self._run(operations)
            if len(operations) == 1 and self._took_s < _QUICK_S:
                return self._commit_now(results)
            return await self._off_loop(lambda: self._commit_now(results))

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if self._executor is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _run(self, operations: Sequence[Operation]) -> list[Result]:
        with self._or_roll_back():
            self._db.execute("BEGIN IMMEDIATE")
            return self._writes.run(operations)

    def _commit_now(self, results: list[Result]) -> list[Result]:
        began_s = time.perf_counter()
        with self._or_roll_back():
            self._db.execute("COMMIT")
        self._took_s = time.perf_counter() - began_s
        return results

    @contextmanager
    def _or_roll_back(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if isinstance(error, apsw.IOError):
                # Nobody knows what of it is on disk, and trying again would hide that.
                self._failure = f"the disk failed, restart to recover: {error}"
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._writes.forget()
            if isinstance(error, apsw.Error):
                raise StoreError(f"cannot write to the store {self._path}: {error}") from error
            raise

    def _connect(self) -> None:
        if self._path != _MEMORY:
            self._lock.acquire()
            # SQLite gives the files beside it the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if self._executor is None:
                self._executor = self._thread = ThreadPoolExecutor(1, "inferry-store")
        self._db = self._connection(_WRITER_PRAGMAS)
        migrate(self._db, _MIGRATIONS)
        self._writes = SqliteWrites(self._db)
        readable = self._db
        if self._path != _MEMORY:
            readable = self._connection(_READER_PRAGMAS, apsw.SQLITE_OPEN_READONLY)
        self._reading = readable.cursor()

    def _connection(
        self,
        pragmas: Mapping[str, str | int],
        flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
    ) -> apsw.Connection:
        db = apsw.Connection(self._path, flags=flags)
        self._connections.append(db)
        db.set_busy_timeout(_BUSY_MS)
        for name, value in pragmas.items():
            db.pragma(name, value)
        return db

    def _disconnect(self) -> None:
        self._reading = None
        # The reader first: the last one to close writes the WAL back.
        while self._connections:
            self._connections.pop().close()
        if self._thread is not None:
            self._thread.shutdown()
            self._executor = self._thread = None
        self._lock.release()
