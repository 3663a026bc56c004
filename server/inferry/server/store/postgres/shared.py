"""``Shared`` on PostgreSQL: a connection of its own, so that a lease never waits for a read."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from inferry.server.fleet.lease import AttemptKey
from inferry.server.store import StoreError
from inferry.server.store.postgres.connections import (
    DATABASE_ERRORS,
    Connection,
    connect,
    fetch,
    session_settings,
)
from inferry.server.store.postgres.notices import EVENTS, SERVERS, Notices
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import QUERIES
from inferry.server.store.postgres.servers import owned_of
from inferry.server.store.postgres.words import write_words
from inferry.server.store.rows import SERVER, Row, attempt_of, task_of
from inferry.server.store.shared import Heartbeat, KeptServer, Replica, Survey, Words
from inferry.server.task.record import Attempt, TaskRecord

T = TypeVar("T")
#: Reads on one of the store's connections.
Read = Callable[..., Awaitable[list[Row]]]

_OWNER_ENDS = len(SERVER) + 1


class PostgresShared:
    """The replicas on a database; see ``Shared``.

    Args:
        options: Where the database is.
        read: Reads.
        news: Set when another replica may have logged something.
        lost: Set when others took over.
    """

    def __init__(
        self, options: PostgresOptions, read: Read, news: asyncio.Event, lost: asyncio.Event
    ) -> None:
        self.lost = lost
        self.stirred = asyncio.Event()
        self.accompanied = False
        self._options = options
        self._read = read
        self._news = news
        #: This replica; set when the store is open.
        self.number = 0
        self._db: Connection | None = None
        self._turn = asyncio.Lock()
        self._notices = Notices(self._notify)
        self._listens = options.notify and not options.pgbouncer

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._notices.close()
        async with self._turn:
            db, self._db = self._db, None
            if db is not None:
                db.terminate()

    def note(self, *, logged: bool, servers: bool) -> None:
        """Takes note of an own commit: others are told, if there are any."""
        if self._options.notify and self.accompanied:
            for channel, due in ((EVENTS, logged), (SERVERS, servers)):
                if due:
                    self._notices.note(channel)

    async def renew(self, *, draining: bool) -> None:
        """See ``Shared.renew``."""
        lease_ms = self._options.lease_ms
        given = self.number, lease_ms, draining

        async def work(db: Connection) -> None:
            self._check(await fetch(db, QUERIES["renew"], *given))

        await self._do(work, single=True)

    async def survey(self) -> Survey:
        """See ``Shared.survey``."""
        rows = await self._read(QUERIES["survey"])
        replicas = [Replica(*row[2:]) for row in rows]
        self._check([one for one in replicas if one.number == self.number])
        self.accompanied = len(replicas) > 1
        servers, pauses = rows[0][:2]
        return Survey(servers, pauses, replicas)

    async def bury(self) -> Collection[int]:
        """See ``Shared.bury``."""

        async def work(db: Connection) -> list[int]:
            dead = [number for (number,) in await fetch(db, QUERIES["bury"], self.number)]
            if dead:
                await db.execute(QUERIES["count_servers_change"])
                await db.execute(QUERIES["orphan"], dead)
            return dead

        return await self._do(work, stirs=True)

    async def take(self, server_ids: Collection[str]) -> Collection[str]:
        """See ``Shared.take``."""

        async def work(db: Connection) -> list[str]:
            await self._begin(db)
            rows = await fetch(db, QUERIES["take"], write_words(server_ids), self.number)
            return [server_id for (server_id,) in rows]

        return await self._do(work, stirs=True)

    async def give(self, places: Mapping[str, int]) -> Mapping[str, int]:
        """See ``Shared.give``."""

        async def work(db: Connection) -> dict[str, int]:
            await self._begin(db)
            given = write_words(places), [*places.values()], self.number
            return dict(await fetch(db, QUERIES["give"], *given))

        return await self._do(work, stirs=True)

    async def servers(self) -> Sequence[KeptServer]:
        """See ``Shared.servers``."""
        rows = await self._read(QUERIES["kept_servers"])
        return [KeptServer(owned_of(row[:_OWNER_ENDS]), *row[_OWNER_ENDS:]) for row in rows]

    async def running(self, server_ids: Collection[str]) -> Sequence[TaskRecord]:
        """See ``Shared.running``."""
        rows = await self._read(QUERIES["running_at"], write_words(server_ids))
        return [task_of(row) for row in rows]

    async def closed(self, attempts: Collection[AttemptKey]) -> Mapping[AttemptKey, Attempt]:
        """See ``Shared.closed``."""
        task_ids, numbers = write_words(one for one, _ in attempts), [one for _, one in attempts]
        rows = await self._read(QUERIES["closed"], task_ids, numbers)
        closed = ((row[0], attempt_of(row[1:])) for row in rows)
        return {(task_id, attempt.number): attempt for task_id, attempt in closed}

    async def ask_to_leave(self, server_id: str, at_ms: int) -> None:
        """See ``Shared.ask_to_leave``."""

        async def work(db: Connection) -> None:
            await self._begin(db)
            await db.execute(QUERIES["ask_to_leave"], server_id, at_ms)

        await self._do(work, stirs=True)

    async def beat(self, server_id: str, load: bytes | None) -> None:
        """See ``Shared.beat``."""
        beat = QUERIES["beat"], server_id, load
        await self._do(lambda db: db.execute(*beat), stirs=True, single=True)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """See ``Shared.heartbeats``."""
        return [Heartbeat(*row) for row in await self._read(QUERIES["heartbeats"])]

    async def tell(self, words: bytes) -> None:
        """See ``Shared.tell``."""
        await self._do(lambda db: db.execute(QUERIES["tell"], self.number, words), single=True)

    async def told(self, numbers: Collection[int]) -> Sequence[Words]:
        """See ``Shared.told``."""
        return [Words(*row) for row in await self._read(QUERIES["told"], [*numbers])]

    async def _begin(self, db: Connection) -> None:
        """Waits for the commit under way, and keeps the next one out until the end."""
        self._check(await fetch(db, QUERIES["hold_own"], self.number))
        await db.execute(QUERIES["count_servers_change"])

    def _check(self, own: Sequence[object]) -> None:
        if not own:
            self.lost.set()
            raise StoreError("another replica took over from this one")

    async def _notify(self, channels: Collection[str]) -> None:
        await self._do(lambda db: db.execute(QUERIES["notify"], [*channels]), single=True)

    async def _do(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        stirs: bool = False,
        single: bool = False,
    ) -> T:
        """Does work in a transaction.

        Args:
            work: The work.
            stirs: Whether others should look.
            single: Whether it is one statement, which is a transaction by itself.
        """
        async with self._turn:
            try:
                db = self._db = self._db or await self._connect()
                if single and not self._options.pgbouncer:
                    done = await work(db)
                else:
                    async with db.transaction():
                        if self._options.pgbouncer:
                            await db.execute(_settings(self._options))
                        done = await work(db)
            except StoreError:
                raise
            except BaseException as error:
                # Also who is broken off in the middle leaves no connection of use to others.
                if self._db is not None:
                    self._db.terminate()
                    self._db = None
                if not isinstance(error, DATABASE_ERRORS):
                    raise
                raise StoreError(f"the replicas cannot be asked: {error}") from error
        self.note(logged=False, servers=stirs)
        return done

    async def _connect(self) -> Connection:
        db = await connect(self._options, "inferry replicas")
        if self._listens:
            own = db.get_server_pid()
            for channel, event in ((EVENTS, self._news), (SERVERS, self.stirred)):
                await db.add_listener(channel, _rings(event, own))
        # What was said while nobody listened.
        self._news.set()
        self.stirred.set()
        return db


def _rings(event: asyncio.Event, own: int) -> Callable[..., None]:
    def ring(_db: object, sender: int, _channel: str, _payload: object) -> None:
        if sender != own:
            event.set()

    return ring


def _settings(options: PostgresOptions) -> str:
    pairs: Mapping[str, Any] = session_settings(options)
    return "; ".join(f"SET LOCAL {name} = {value}" for name, value in pairs.items())
