"""The one connection of a replica that writes, and what became of what it sent.

A connection may be lost at any time. Before COMMIT was sent nothing of the transaction is there,
nor will be. Once it was, nobody can know but the database: the replica's own row counts its commits
and stays locked while the old transaction lives, so whoever has the lock reads the truth.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import asyncpg

from inferry.server.store import EPOCHS_KEPT, StoreError
from inferry.server.store.journal import new_epoch
from inferry.server.store.migrations import Migration
from inferry.server.store.operations import Epoch
from inferry.server.store.postgres.batches import Batch, Own
from inferry.server.store.postgres.connections import (
    DATABASE_ERRORS,
    Connection,
    bounded,
    connect,
    fetch,
    is_away,
    session_settings,
)
from inferry.server.store.postgres.footprint import Footprint
from inferry.server.store.postgres.migrate import migrate
from inferry.server.store.postgres.moved import refuse_half_moved
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import QUERIES
from inferry.server.store.postgres.rooms import lock_statements
from inferry.server.store.rows import Row

#: More than any wait.
_LONG_S = 86_400
_TAKEN_OVER = "another replica took over from this one"
#: Does what a transaction is for.
Work = Callable[[Connection], Awaitable[Batch]]


class AwayError(Exception):
    """The database was not to be had, and nothing of the transaction is there; its cause says why.

    Args:
        sent: The batch whose COMMIT was sent: then nobody knows whether it is there.
    """

    def __init__(self, sent: Batch | None = None) -> None:
        super().__init__()
        self.sent = sent


class BehindError(Exception):
    """Webhooks were changed: they have to be read before anything is decided."""


class Writer:
    """Writes in the name of one replica.

    Args:
        options: Where the database is.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._footprint = Footprint(options.folder)
        #: Set when this replica has lost its place for good.
        self.lost = asyncio.Event()
        self._db: Connection | None = None
        #: This start; once open.
        self.epoch: Epoch
        #: Whether it was noted.
        self._begun = False
        #: Commits that are known to be there.
        self._commits = 0
        #: How often webhooks were changed, as far as they are known.
        self.hooks_known = 0
        session = "".join(
            f"SET LOCAL {name} = {value}; " for name, value in session_settings(options).items()
        )
        #: Where a session keeps nothing, each transaction says what it is set to.
        self._session = session if options.pgbouncer else ""

    async def open(self, migrations: tuple[Migration, ...]) -> None:
        """Connects, brings the schema up to this code and begins an epoch.

        Raises:
            StoreError, DATABASE_ERRORS: It cannot.
        """
        self._db = db = await connect(self._options, "inferry")
        await migrate(db, migrations)
        async with db.transaction():
            # Numbers are handed out one after the other: who sees one sees all before it.
            await db.execute(QUERIES["lock_starts"])
            await refuse_half_moved(db)
            ((last, latest_ms),) = await fetch(db, QUERIES["last_epoch"])
            self.epoch = new_epoch(last)
            given = self.epoch.number, self.epoch.tag, latest_ms, self._options.lease_ms
            await db.execute(QUERIES["put_replica"], *given)
            gone = self._footprint.find()
            if gone is not None and await fetch(db, QUERIES["bury_gone"], gone.number, gone.tag):
                await db.execute(QUERIES["count_servers_change"])
                await db.execute(QUERIES["orphan"], [gone.number])
            await db.execute(QUERIES["take_counts"], self.epoch.number)
            await db.execute(QUERIES["sum_counts"], self.epoch.number)
            await db.execute(QUERIES["forget_replicas"], last - EPOCHS_KEPT)
        self._begun = True
        self._footprint.leave(self.epoch)
        # Who is on the way without knowing of this replica comes to an end first.
        await db.execute(f"BEGIN; {lock_statements([None], [None])}COMMIT")
        self._commits = 0

    async def close(self) -> None:
        """Says that the replica has ended, if the database can be told, and lets go."""
        if self._db is not None:
            with suppress(*DATABASE_ERRORS):
                if self._begun:
                    await self._db.execute(QUERIES["end_replica"], self.epoch.number)
                await bounded(self._db.close(), self._options.connect_timeout_ms)
        self._drop()
        self._footprint.release()

    async def transact(self, work: Work, own: Own, locks: str, *, hurry: bool) -> Batch:
        """Does work in a transaction and commits it.

        Args:
            work: The work.
            own: What this replica has of its own.
            locks: Statements that come first.
            hurry: Whether no row but its own is to be waited for longer than a moment.

        Raises:
            AwayError: The connection was lost.
            BehindError: ``hooks_known`` is not what it should be.
            StoreError: Another replica took over.
            Exception: The work broke; nothing of it is there.
        """
        if self._db is None:
            raise AwayError
        db, sent = self._db, None
        try:
            await self._begin(db, locks, hurry=hurry)
            batch = await work(db)
            if batch.changed:
                sent = batch
                await self._finish(db, batch, own)
                self._commits += 1
            else:
                await db.execute("ROLLBACK")
        except Exception as error:
            if is_away(error, db) or not await self._roll_back(db):
                self._drop()
                raise AwayError(sent) from error
            raise
        except BaseException:
            self._drop()
            raise
        return batch

    async def rejoin(self) -> bool:
        """Connects anew.

        Returns:
            Whether the commit that was on its way is there. What is not will never be.

        Raises:
            StoreError: The database is another than before, or this replica is dead to it.
            DATABASE_ERRORS: Not yet.
        """
        self._drop()
        db = await connect(self._options, "inferry")
        try:
            async with db.transaction():
                await db.execute(self._session or "SELECT 1")
                found = await fetch(db, QUERIES["replica"], self.epoch.number)
            commits = self._check(found)
        except BaseException:
            db.terminate()
            raise
        self._db = db
        landed, self._commits = commits > self._commits, commits
        return landed

    def _check(self, found: Sequence[Row]) -> int:
        """Looks at the replica's own row; tells how many commits it counts."""
        for tag, commits, dead in found:
            if tag != self.epoch.tag:
                break
            if dead:
                raise self._lose(_TAKEN_OVER)
            if commits < self._commits:
                raise self._lose("the database lost commits that it had acknowledged")
            return int(commits)
        raise self._lose("it is another database than before")

    def _lose(self, why: str) -> StoreError:
        self.lost.set()
        return StoreError(why)

    async def _begin(self, db: Connection, locks: str, *, hurry: bool) -> None:
        given = {
            "session": self._session,
            "locks": locks,
            "number": self.epoch.number,
            "webhooks": self.hooks_known,
        }
        begin = QUERIES["begin_in_a_hurry" if hurry else "begin"].format(**given)
        try:
            up_to_date = await db.execute(begin) == "SELECT 1"
        except asyncpg.LockNotAvailableError as error:
            # Without its own row a replica can write nothing, as if the database were away.
            raise AwayError from error
        if not up_to_date:
            alive = await fetch(db, QUERIES["alive"], self.epoch.number)
            await db.execute("ROLLBACK")
            raise BehindError if alive else self._lose(_TAKEN_OVER)

    async def _finish(self, db: Connection, batch: Batch, own: Own) -> None:
        finish = QUERIES["finish"].format(
            head=own.journal.head,
            commits=self._commits + 1,
            waiting=own.rooms.written,
            latest_ms=batch.latest_ms,
            number=self.epoch.number,
        )
        # Whoever gives up waiting says nothing to the database, which would take that for a word
        # to go on without its standby.
        sending = asyncio.ensure_future(db.execute(finish, timeout=_LONG_S))
        await asyncio.wait([sending], timeout=self._options.statement_timeout_ms / 1_000)
        if not sending.done():
            db.terminate()
        await sending

    async def _roll_back(self, db: Connection) -> bool:
        try:
            if db.is_in_transaction():
                await db.execute("ROLLBACK")
        except DATABASE_ERRORS:
            return False
        return True

    def _drop(self) -> None:
        if self._db is not None:
            self._db.terminate()
            self._db = None
