"""The reads of the PostgreSQL store, each a statement or two on one of a few connections."""

from typing import Any

from inferry.server.errors import PurgedError, TaskNotFoundError
from inferry.server.fleet.record import ServerRecord
from inferry.server.store import StoreError, TaskFilter, Vector
from inferry.server.store.operations import Epoch, Logged
from inferry.server.store.postgres.connections import (
    DATABASE_ERRORS,
    Pool,
    bounded,
    fetch,
    is_away,
    place_of,
)
from inferry.server.store.postgres.figures import PostgresFigureReads, logged_of
from inferry.server.store.postgres.hook_reads import PostgresHookReads
from inferry.server.store.postgres.lists import list_query
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import QUERIES
from inferry.server.store.rows import Row, attempt_of, event_of, server_of, task_of
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Attempt, Event, Outcome, TaskRecord

#: Of what ``logged`` reads.
_MISSED, _POSITION = 0, 1


class PostgresReads(PostgresHookReads, PostgresFigureReads):
    """The half of ``Store`` that reads; ``Store`` says what each call does.

    Args:
        options: Where the database is.
    """

    def __init__(self, options: PostgresOptions) -> None:
        super().__init__()
        self._options = options
        self._place = place_of(options.url)
        self._pool: Pool | None = None

    async def _rows(self, query: str, *values: Any) -> list[Row]:
        if self._pool is None:
            raise StoreError("the store is not open")
        for again in (True, False):
            try:
                return await self._ask(self._pool, query, values)
            except DATABASE_ERRORS as error:
                # A connection may be lost where the database is well: the next one tells. Who
                # has waited in vain for one does not wait again.
                if again and is_away(error) and not isinstance(error, TimeoutError):
                    continue
                raise StoreError(f"cannot read from {self._place}: {error}") from error
        raise AssertionError

    async def _ask(self, pool: Pool, query: str, values: tuple[Any, ...]) -> list[Row]:
        async with pool.acquire(timeout=self._options.connect_timeout_ms / 1_000) as db:
            if not self._options.pgbouncer:
                return await fetch(db, query, *values)
            # A statement is sent in two steps, which have to meet the same session.
            async with db.transaction(readonly=True):
                return await fetch(db, query, *values)

    async def _close_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await bounded(pool.close(), self._options.connect_timeout_ms)
            except DATABASE_ERRORS:
                pool.terminate()

    async def task(self, task_id: str, tenant: str | None = None) -> TaskRecord | None:
        """See ``Store.task``."""
        for row in await self._rows(QUERIES["task"], task_id, tenant):
            return task_of(row)
        if await self._rows(QUERIES["tombstone"], task_id, tenant):
            raise PurgedError(task_id)
        return None

    async def payload(self, task_id: str) -> bytes:
        """See ``Store.payload``."""
        for (body,) in await self._rows(QUERIES["payload"], task_id):
            return bytes(body)
        raise TaskNotFoundError(task_id)

    async def outcome(self, task_id: str) -> Outcome:
        """See ``Store.outcome``."""
        for row in await self._rows(QUERIES["outcome"], task_id):
            return Outcome(*row)
        return Outcome()

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[Event]:
        """See ``Store.events``."""
        rows = await self._rows(QUERIES["events"], task_id, after_seq, limit)
        return [event_of(task_id, row) for row in rows]

    async def logged(self, after: Vector, limit: int) -> list[Logged] | None:
        """See ``Store.logged``."""
        rows = await self._rows(QUERIES["logged"], [*after], [*after.values()], limit)
        if rows[0][_MISSED]:
            return None
        # One row says that nothing was missed, also where nothing follows.
        return [logged_of(row) for row in rows if row[_POSITION] is not None]

    async def heads(self) -> Vector:
        """See ``Store.heads``."""
        return dict(await self._rows(QUERIES["heads"]))

    async def epochs(self) -> list[Epoch]:
        """See ``Store.epochs``."""
        return [Epoch(*row) for row in await self._rows(QUERIES["epochs"])]

    async def attempts(self, task_id: str) -> list[Attempt]:
        """See ``Store.attempts``."""
        return [attempt_of(row) for row in await self._rows(QUERIES["attempts"], task_id)]

    async def tasks(
        self, wanted: TaskFilter, before: int | None, limit: int
    ) -> list[tuple[int, TaskRecord]]:
        """See ``Store.tasks``."""
        query, values = list_query(wanted, before, limit)
        return [(row[0], task_of(row)) for row in await self._rows(query, *values)]

    async def count(self, wanted: TaskFilter, limit: int) -> int:
        """See ``Store.count``."""
        query, values = list_query(wanted, None, limit)
        ((count,),) = await self._rows(f"SELECT count(*) FROM ({query}) AS page", *values)  # noqa: S608
        return int(count)

    async def servers(self) -> list[ServerRecord]:
        """See ``Store.servers``."""
        return [server_of(row) for row in await self._rows(QUERIES["servers"])]

    async def stopped(self, since_ms: int) -> list[tuple[str, Attempt]]:
        """See ``Store.stopped``."""
        rows = await self._rows(QUERIES["stopped"], since_ms)
        return [(row[0], attempt_of(row[1:])) for row in rows]

    async def paused_types(self) -> list[PausedType]:
        """See ``Store.paused_types``."""
        return [PausedType(*row) for row in await self._rows(QUERIES["paused_types"])]

    async def has_code(self, hash_: bytes) -> bool:
        """See ``Store.has_code``."""
        return bool(await self._rows(QUERIES["has_code"], hash_))

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """See ``Store.expired``."""
        return [task_id for (task_id,) in await self._rows(QUERIES["expired"], now_ms, limit)]

    async def first_deadline_ms(self) -> int | None:
        """See ``Store.first_deadline_ms``."""
        ((deadline_ms,),) = await self._rows(QUERIES["first_deadline"])
        return None if deadline_ms is None else int(deadline_ms)

    async def latest_ms(self) -> int:
        """See ``Store.latest_ms``."""
        ((at_ms,),) = await self._rows(QUERIES["latest_time"])
        return int(at_ms)

    async def running(self) -> list[TaskRecord]:
        """See ``Store.running``."""
        return [task_of(row) for row in await self._rows(QUERIES["running"])]
