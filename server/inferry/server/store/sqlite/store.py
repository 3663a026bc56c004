"""The store in one SQLite file.

One connection writes. A batch's statements run on the event loop's thread and only its COMMIT,
with the write to disk in it, runs in the writer thread: a statement there would have to win the
interpreter's lock back after each step, and against a busy loop that takes milliseconds each time.
Batches take turns, so the connection is never in two threads at once.

A lone operation, which is what an idle gateway has, is committed where it is as long as the disk is
quick: to hand it over and back takes as long as the write itself. A disk that stalls holds the loop
up once; then the thread takes over until it is quick again.

A full disk fails a batch and no more. When the disk itself fails, nothing is written on that
connection again: reads go on, and ``recover`` makes a new one once the disk can be trusted. What
the failed batch left in the log is never shown and never committed to: it ends with the log.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import apsw

from inferry.server.store import Listener, StoreError
from inferry.server.store.journal import Journal, new_epoch
from inferry.server.store.migrations import load_migrations
from inferry.server.store.operations import EndRetention, Operation, Purge, Result
from inferry.server.store.rows import Row
from inferry.server.store.sqlite.batches import BrokenOperationError, SqliteBatches
from inferry.server.store.sqlite.connections import (
    FileId,
    begin,
    create_file,
    empty_log,
    identify,
    open_reader,
    open_writer,
    prove,
)
from inferry.server.store.sqlite.lockfile import LockFile
from inferry.server.store.sqlite.migrate import migrate
from inferry.server.store.sqlite.moved import refuse_half_moved
from inferry.server.store.sqlite.queries import FOLDER, QUERIES
from inferry.server.store.sqlite.reads import SqliteReads
from inferry.server.store.sqlite.thread import WriterThread
from inferry.server.store.unbroken import to_its_end
from inferry.server.store.webhooks import ForgetDeliveries

_Run: TypeAlias = Callable[[Sequence[Operation]], list[Result]]
_MEMORY = ":memory:"
_MIGRATIONS = load_migrations(FOLDER)
#: A commit that takes less is quick.
_QUICK_S = 0.002
#: A log of so many pages is written back.
_LOG_PAGES = 1_000
#: Nobody knows what of the batch is on the disk, or it is not what was once written there.
_DISK_ERRORS = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)


class SqliteStore(SqliteReads):
    """``Store`` in a file, or in memory when the path is ``:memory:``.

    Args:
        path: The database file; its folder must exist. Beside it lies ``<path>.lock``.
        executor: Runs each COMMIT; one thread, or none for tests. Default: a thread of its own,
            none when in memory.
    """

    def __init__(self, path: Path | str, executor: Executor | None = None) -> None:
        super().__init__()
        self.failed, self.news = asyncio.Event(), asyncio.Event()
        self.shared = None
        self.listener: Listener = len
        self._path = str(path)
        self._thread = WriterThread(executor)
        self._lock = LockFile(Path(f"{path}.lock"))
        self._turn = asyncio.Lock()
        #: How long the last commit took.
        self._took_s = _QUICK_S
        #: The one that writes comes first.
        self._connections: list[apsw.Connection] = []
        self._file: FileId | None = None
        #: Length of the log.
        self._log_pages = 0
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
        self.addressees.know(await self.hooks(None))

    async def close(self) -> None:
        """See ``Store.close``."""
        async with self._turn:
            self._failure = "it is closed"
            self.failed.clear()
            self._disconnect()

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        """See ``Store.commit``. Once begun it ends, even if the caller is cancelled meanwhile."""
        return await to_its_end(self._commit(operations))

    async def recover(self) -> None:
        """See ``Store.recover``. Once begun it ends, like a commit."""
        await to_its_end(self._recover())

    async def _commit(self, operations: Sequence[Operation]) -> list[Result]:
        async with self._turn:
            self._check()
            try:
                results = await self._write(operations)
            except BaseException as error:
                self._undo()
                if isinstance(error, apsw.FullError):
                    await self._write_back()
                if isinstance(error, apsw.Error):
                    self._note(error)
                    raise StoreError(f"cannot write to the store {self._path}: {error}") from error
                raise
            self.listener(self._journal.seal())
            await self._pass_on(self._batches.hooks)
            if self._log_pages >= _LOG_PAGES:
                await self._write_back()
            return results

    def _check(self) -> None:
        if self._failure:
            raise StoreError(f"cannot write to the store {self._path}: {self._failure}")

    async def _write(self, operations: Sequence[Operation]) -> list[Result]:
        try:
            await begin(self._db)
            return await self._run(self._batches.run, operations)
        except BrokenOperationError:
            # All of it again, each by itself: savepoints would cost every batch.
            self._undo()
            self._check()
            await begin(self._db)
            return await self._run(self._batches.run_apart, operations)

    async def _run(self, run: _Run, operations: Sequence[Operation]) -> list[Result]:
        # Old rows may have to come from the disk: the loop does not wait for them.
        if any(isinstance(one, Purge | EndRetention | ForgetDeliveries) for one in operations):
            return await self._thread.run(lambda: self._commit_now(run(operations)))
        results = run(operations)
        if len(operations) == 1 and self._took_s < _QUICK_S:
            return self._commit_now(results)
        return await self._thread.run(lambda: self._commit_now(results))

    def _commit_now(self, results: list[Result]) -> list[Result]:
        began_s = perf_counter()
        try:
            self._db.execute("COMMIT")
        finally:
            self._took_s = perf_counter() - began_s
        return results

    async def _write_back(self) -> None:
        """Moves the log into the database, as far as nobody reads it: the next begins in its place.

        If that fails nothing is lost. The next commit tries it again, and one that has no room.
        """
        try:
            await self._thread.run(self._db.wal_checkpoint)
        except apsw.Error as error:
            self._note(error)

    def _undo(self) -> None:
        """Leaves nothing of a batch, in the database or in memory."""
        self._batches.forget()
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error as error:
            self._note(error)

    def _note(self, error: apsw.Error) -> None:
        if isinstance(error, _DISK_ERRORS):
            self._failure = f"the disk failed: {error}"
            self.failed.set()

    async def _recover(self) -> None:
        async with self._turn:
            if not self.failed.is_set():
                return
            try:
                await self._thread.run(self._replace_writer)
            except (apsw.Error, OSError, StoreError) as error:
                raise StoreError(f"cannot use the store {self._path} yet: {error}") from error
            self._failure = ""
            self.failed.clear()

    def _replace_writer(self) -> None:
        # The reader stays, and with it SQLite's memory of where the last good commit ended.
        self._connections[0].close(force=True)
        if identify(self._path) != self._file:
            raise StoreError("another file is in its place; restart the gateway")
        db = self._connections[0] = open_writer(self._path)
        prove(db)
        self._use(db)

    def _connect(self) -> None:
        if self._path != _MEMORY:
            self._lock.acquire()
            self._file = create_file(self._path)
            self._thread.start()
        db = open_writer(self._path)
        self._connections.append(db)
        # Without room, or with somebody who reads: the log is no worse than it was.
        with suppress(apsw.FullError, apsw.BusyError):
            empty_log(db)
        refuse_half_moved(db)
        migrate(db, _MIGRATIONS)
        # It is kept with its own first event: the one after the last that left any.
        earlier: list[Row] = db.execute(QUERIES["epochs"]).fetchall()
        self.epoch = new_epoch(max((number for number, _ in earlier), default=0))
        self._journal = Journal(self.epoch)
        self._use(db)
        if self._path != _MEMORY:
            db = open_reader(self._path)
            self._connections.append(db)
        self._reading = db.cursor()

    def _use(self, db: apsw.Connection) -> None:
        self._db = db
        self._batches = SqliteBatches(db, self._journal, self._notices)
        db.set_wal_hook(self._measure_log)

    def _measure_log(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _disconnect(self) -> None:
        self._reading = None
        # The reader first: the last one to close writes the WAL back, if the disk lets it.
        while self._connections:
            with suppress(apsw.Error):
                self._connections.pop().close()
        self._thread.stop()
        self._lock.release()
