"""The store in a PostgreSQL database.

One connection writes, batch by batch; a few more read. A database that is away is waited for:
commits are refused meanwhile, and ``recover`` goes on where it stopped. Whatever a batch decides is
decided on rows that it has locked, so any number of replicas may do the same.
"""

import asyncio
from collections.abc import Sequence
from random import Random

import asyncpg

from inferry.server.store import Listener, StoreError
from inferry.server.store.hook_rows import hook_of
from inferry.server.store.journal import Journal
from inferry.server.store.migrations import load_migrations
from inferry.server.store.operations import Epoch, Operation, Result
from inferry.server.store.postgres.batches import (
    Batch,
    BrokenOperationError,
    Own,
    Run,
    run,
    run_apart,
)
from inferry.server.store.postgres.connections import DATABASE_ERRORS, new_pool
from inferry.server.store.postgres.locks import BarredError
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import FOLDER, HOOK_QUERIES
from inferry.server.store.postgres.reads import PostgresReads
from inferry.server.store.postgres.rooms import NearLimitError, Rooms
from inferry.server.store.postgres.shared import PostgresShared
from inferry.server.store.postgres.writer import AwayError, BehindError, Writer
from inferry.server.store.unbroken import to_its_end

_MIGRATIONS = load_migrations(FOLDER)
#: How often a batch is begun anew: others were in its way, or the connection was lost.
_TRIES = 5
#: For so long after a row was waited for in vain, none is waited for longer than a moment.
_HURRY_S = 30.0
#: Before a batch, or a connection, is tried again: at most, the first time and in the end.
_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 2.0


class PostgresStore(PostgresReads):
    """``Store`` in a database, which others may share.

    Args:
        options: Where it is.
        random: Spreads the tries of many replicas.
    """

    def __init__(self, options: PostgresOptions, random: Random | None = None) -> None:
        super().__init__(options)
        self.failed, self.news = asyncio.Event(), asyncio.Event()
        self.listener: Listener = len
        self.epoch: Epoch
        self._random = random or Random()  # noqa: S311  # jitter
        self.news = asyncio.Event()
        self._writer = Writer(options)
        self.shared = PostgresShared(options, self._rows, self.news, self._writer.lost)
        self._turn = asyncio.Lock()
        self._closing = asyncio.Event()
        #: Tries since the database went away.
        self._tries = 0
        #: Until when, by the loop's clock, nobody waits long for a row: a stranger keeps some.
        self._hurry_until_s = 0.0
        #: Why nothing can be written; empty when all is well.
        self._failure = "it is not open"

    async def open(self) -> None:
        """See ``Store.open``."""
        try:
            await self._writer.open(_MIGRATIONS)
        except (*DATABASE_ERRORS, StoreError) as error:
            await self._writer.close()
            raise StoreError(f"cannot open the store {self._place}: {_why(error)}") from error
        self.epoch = self._writer.epoch
        self.shared.number = self.epoch.number
        self._own = Own(Journal(self.epoch), Rooms(), self._notices)
        self._pool = await new_pool(self._options, "inferry")
        self._closing.clear()
        await self._know_hooks()
        self._failure = ""

    async def close(self) -> None:
        """See ``Store.close``."""
        self._closing.set()
        async with self._turn:
            self._failure = "it is closed"
            self.failed.clear()
            await self.shared.close()
            await self._writer.close()
            await self._close_pool()

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        """See ``Store.commit``. Once begun it ends, even if the caller is cancelled meanwhile."""
        return await to_its_end(self._commit(operations))

    async def recover(self) -> None:
        """See ``Store.recover``. Once begun it ends, like a commit."""
        await to_its_end(self._recover())

    async def _commit(self, operations: Sequence[Operation]) -> list[Result]:
        async with self._turn:
            if self._failure:
                raise self._refusal(self._failure)
            try:
                batch = await self._write(operations)
            except BaseException:
                self._own.journal.cut(0)
                raise
            self._own.rooms.settle()
            logged = self._own.journal.seal()
            self.listener(logged)
            self.shared.note(logged=bool(logged), servers=batch.registry)
            if batch.told:
                self.addressees.wake()
            return batch.results

    async def _write(self, operations: Sequence[Operation]) -> Batch:
        how: Run = run
        lost = False
        for again in range(_TRIES):
            try:
                return await self._transact(how, operations)
            except BrokenOperationError:
                # All of it again, each by itself: savepoints would cost every batch.
                how = run_apart
            except (NearLimitError, BarredError):
                # Again, with nobody else on the way, or without what others keep.
                pass
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                await asyncio.sleep(self._pause_s(again))
            except asyncpg.LockNotAvailableError as error:
                if how is run_apart:
                    raise self._refusal(_why(error)) from error
                # What needs that row is refused; a batch is not to wait as long for it again.
                self._hurry_until_s = asyncio.get_running_loop().time() + _HURRY_S
                how = run_apart
            except AwayError as away:
                landed = await self._come_back(away, again=lost)
                if landed is not None:
                    return landed
                lost = True
            except DATABASE_ERRORS as error:
                raise self._refusal(_why(error)) from error
            self._own.journal.cut(0)
        raise self._refusal("too many others were in the way")

    async def _transact(self, how: Run, operations: Sequence[Operation]) -> Batch:
        own = self._own
        locks = own.rooms.locks_for(operations)
        hurry = bool(own.barred) or asyncio.get_running_loop().time() < self._hurry_until_s
        while True:
            try:
                return await self._writer.transact(
                    lambda db: how(db, own, operations), own, locks, hurry=hurry
                )
            except BehindError:
                await self._know_hooks()

    async def _know_hooks(self) -> None:
        rows = await self._rows(HOOK_QUERIES["known_webhooks"])
        hooks = [hook_of(row[1:]) for row in rows if row[1] is not None]
        self.addressees.know(hooks)
        self._writer.hooks_known = rows[0][0]

    async def _come_back(self, away: AwayError, *, again: bool) -> Batch | None:
        """Connects anew; returns the batch that was on its way, if it is there."""
        if away.sent is not None:
            return away.sent if await self._look_up() else None
        if again:
            raise self._fail(away) from away
        await self._rejoin(away)
        return None

    async def _rejoin(self, away: AwayError) -> None:
        """Connects anew at once: one connection may be lost where the database is well."""
        try:
            await self._writer.rejoin()
        except (*DATABASE_ERRORS, StoreError) as error:
            raise self._fail(error) from away

    async def _look_up(self) -> bool:
        """Finds out whether the commit is there whose answer was lost, however long it takes."""
        self.failed.set()
        while not self._closing.is_set():
            try:
                landed = await self._writer.rejoin()
            except DATABASE_ERRORS:
                await self._wait()
            except StoreError as error:
                raise self._fail(error) from error
            else:
                self._work_again()
                return landed
        raise self._refusal("it is closed, and nobody knows whether the last commit is there")

    async def _recover(self) -> None:
        if self.failed.is_set():
            await self._wait()
        async with self._turn:
            if not self.failed.is_set():
                return
            try:
                await self._writer.rejoin()
            except (*DATABASE_ERRORS, StoreError) as error:
                raise StoreError(f"cannot use the store {self._place}: {_why(error)}") from error
            self._work_again()

    def _work_again(self) -> None:
        self._tries, self._failure = 0, ""
        self.failed.clear()

    def _fail(self, error: BaseException) -> StoreError:
        self._failure = f"the database is away: {_why(error)}"
        self.failed.set()
        return self._refusal(self._failure)

    def _refusal(self, why: str) -> StoreError:
        return StoreError(f"cannot write to the store {self._place}: {why}")

    async def _wait(self) -> None:
        """Waits before the next try, each time longer; not when the store is closed."""
        self._tries += 1
        try:
            async with asyncio.timeout(self._pause_s(self._tries)):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _pause_s(self, tries: int) -> float:
        most = min(_LAST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(tries, 10))
        return self._random.uniform(0, most)


def _why(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, AwayError) else error
    if isinstance(cause, OSError) and cause.strerror:
        # Of a file, which can only be one that the URL names.
        return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
    if isinstance(cause, TimeoutError) and not str(cause):
        return "it did not answer in time"
    return str(cause) or type(cause).__name__
