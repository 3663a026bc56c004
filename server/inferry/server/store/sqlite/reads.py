"""The reads of the SQLite store, each a statement or a few on a connection that cannot write.

They run on the calling thread: a point read costs less than handing it to another thread, and a
reader of a WAL database never waits for the writer.
"""

import heapq
from collections.abc import Mapping
from itertools import chain, islice

import apsw

from inferry.server.errors import PurgedError, TaskNotFoundError
from inferry.server.fleet.record import ServerRecord
from inferry.server.store import POSITION_BITS, StoreError, TaskFilter, Vector
from inferry.server.store.operations import Epoch, Logged
from inferry.server.store.rows import Row, attempt_of, event_of, server_of, task_of
from inferry.server.store.sqlite.figures import SqliteFigureReads, logged_of
from inferry.server.store.sqlite.hook_reads import SqliteHookReads
from inferry.server.store.sqlite.queries import QUERIES
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Attempt, Event, Outcome, TaskRecord

_TASK = QUERIES["task"]
_EVENTS = QUERIES["events"]
_FIRST_DEADLINE = QUERIES["first_deadline"]
_EXPIRED = QUERIES["expired_waiting"], QUERIES["expired_running"]
_HAS_LABEL = (
    " AND EXISTS (SELECT 1 FROM labels AS more "
    "WHERE more.task_number = labels.task_number AND more.key = ? AND more.value = ?)"
)
#: Above every number.
_LAST = 2**63 - 1


class SqliteReads(SqliteHookReads, SqliteFigureReads):
    """The half of ``Store`` that reads; ``Store`` says what each call does."""

    epoch: Epoch

    def __init__(self) -> None:
        super().__init__()
        #: The one cursor of all statements: making one costs as much as a small statement.
        self._reading: apsw.Cursor | None = None

    def _rows(self, query: str, values: Row | dict[str, str | int] = ()) -> list[Row]:
        if self._reading is None:
            raise StoreError("the store is not open")
        try:
            # To the end: an open statement would hold on to an old view of the database.
            return self._reading.execute(query, values).fetchall()
        except apsw.Error as error:
            raise StoreError(f"cannot read: {error}") from error

    async def task(self, task_id: str, tenant: str | None = None) -> TaskRecord | None:
        """See ``Store.task``."""
        for row in self._rows(_TASK, (task_id, tenant)):
            return task_of(row)
        if self._rows(QUERIES["tombstone"], (task_id, tenant)):
            raise PurgedError(task_id)
        return None

    async def payload(self, task_id: str) -> bytes:
        """See ``Store.payload``."""
        for (body,) in self._rows(QUERIES["payload"], (task_id,)):
            return bytes(body)
        raise TaskNotFoundError(task_id)

    async def outcome(self, task_id: str) -> Outcome:
        """See ``Store.outcome``."""
        for row in self._rows(QUERIES["outcome"], (task_id,)):
            return Outcome(*row)
        return Outcome()

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[Event]:
        """See ``Store.events``."""
        return [event_of(task_id, row) for row in self._rows(_EVENTS, (task_id, after_seq, limit))]

    async def logged(self, after: Vector, limit: int) -> list[Logged] | None:
        """See ``Store.logged``. One epoch follows on the other: their order is that of causes."""
        rows: list[Row] = []
        for first, last in _unseen(after):
            rows += self._rows(QUERIES["logged"], (first, last, limit - len(rows)))
            if len(rows) == limit:
                break
        # Looked at last: what was dropped meanwhile shows.
        return None if self._horizon() > _passed(after) else [logged_of(row) for row in rows]

    async def heads(self) -> Vector:
        """See ``Store.heads``."""
        ((last,),) = self._rows(QUERIES["last_position"])
        epoch, count = divmod(max(self._horizon(), last or 0), 1 << POSITION_BITS)
        return {epoch: count} if epoch else {}

    def _horizon(self) -> int:
        return next((int(position) for (position,) in self._rows(QUERIES["horizon"])), 0)

    async def epochs(self) -> list[Epoch]:
        """See ``Store.epochs``."""
        present = self.epoch.number
        rows = self._rows(QUERIES["epochs"])
        return [Epoch(number, tag, ended=number != present) for number, tag in rows]

    async def attempts(self, task_id: str) -> list[Attempt]:
        """See ``Store.attempts``."""
        return [attempt_of(row) for row in self._rows(QUERIES["attempts"], (task_id,))]

    async def tasks(
        self, wanted: TaskFilter, before: int | None, limit: int
    ) -> list[tuple[int, TaskRecord]]:
        """See ``Store.tasks``.

        The indexes for lists begin with the tenant. A list over all tenants is the merge of
        theirs: three more indexes would cost every task more than this costs the few who ask.
        """
        start = _LAST if before is None else before
        if wanted == TaskFilter():
            rows = self._rows(list_query(wanted), (start, limit))
        else:
            pages = [self._page(tenant, wanted, start, limit) for tenant in self._tenants(wanted)]
            merged = heapq.merge(*pages, key=lambda row: int(row[0]), reverse=True)
            rows = list(islice(merged, limit))
        return [(row[0], task_of(row)) for row in rows]

    def _tenants(self, wanted: TaskFilter) -> list[str]:
        if wanted.tenant is not None:
            return [wanted.tenant]
        return [tenant for (tenant,) in self._rows(QUERIES["tenants"])]

    def _page(self, tenant: str, wanted: TaskFilter, start: int, limit: int) -> list[Row]:
        return self._rows(list_query(wanted), self._given(tenant, wanted, start, limit))

    def _given(self, tenant: str, wanted: TaskFilter, start: int, limit: int) -> Row:
        filters = [value for value in _asked(wanted).values() if value is not None]
        if wanted.labels:
            first, *others = wanted.labels
            return (tenant, *first, start, *filters, *chain.from_iterable(others), limit)
        return (tenant, *filters, start, limit)

    async def count(self, wanted: TaskFilter, limit: int) -> int:
        """See ``Store.count``."""
        query, count = f"SELECT count(*) FROM ({list_query(wanted)})", 0  # noqa: S608
        if wanted == TaskFilter():
            return int(self._rows(query, (_LAST, limit))[0][0])
        for tenant in self._tenants(wanted):
            ((found,),) = self._rows(query, self._given(tenant, wanted, _LAST, limit - count))
            count += int(found)
            if count >= limit:
                break
        return count

    async def servers(self) -> list[ServerRecord]:
        """See ``Store.servers``."""
        return [server_of(row) for row in self._rows(QUERIES["servers"])]

    async def stopped(self, since_ms: int) -> list[tuple[str, Attempt]]:
        """See ``Store.stopped``."""
        rows = self._rows(QUERIES["stopped"], (since_ms,))
        return [(row[0], attempt_of(row[1:])) for row in rows]

    async def paused_types(self) -> list[PausedType]:
        """See ``Store.paused_types``."""
        return [PausedType(*row) for row in self._rows(QUERIES["paused_types"])]

    async def has_code(self, hash_: bytes) -> bool:
        """See ``Store.has_code``."""
        return bool(self._rows(QUERIES["has_code"], (hash_,)))

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        """See ``Store.expired``."""
        pages = (self._rows(query, (now_ms, limit)) for query in _EXPIRED)
        return [task_id for _, task_id in islice(heapq.merge(*pages), limit)]

    async def first_deadline_ms(self) -> int | None:
        """See ``Store.first_deadline_ms``."""
        found = (deadline_ms for (deadline_ms,) in self._rows(_FIRST_DEADLINE))
        return min((int(one) for one in found if one is not None), default=None)

    async def latest_ms(self) -> int:
        """See ``Store.latest_ms``."""
        return next((int(at_ms) for (at_ms,) in self._rows(QUERIES["latest_time"])), 0)

    async def running(self) -> list[TaskRecord]:
        """See ``Store.running``."""
        return [task_of(row) for row in self._rows(QUERIES["running"])]


def list_query(wanted: TaskFilter) -> str:
    """Builds the query of one page.

    Its values are the tenant, status, type, server and code, as far as ``wanted`` names them, the
    number to start below, and the limit. Any filter but none at all needs a tenant. With labels
    they are the tenant, the first label, the number, status, type, server and code, the other
    labels, the limit.
    """
    if wanted == TaskFilter():
        return QUERIES["tasks"].format(filters="TRUE")
    columns = [column for column, value in _asked(wanted).items() if value is not None]
    if wanted.labels:
        more = [f" AND tasks.{column} = ?" for column in columns]
        return QUERIES["labelled"].format(
            filters="".join([*more, *[_HAS_LABEL] * (len(wanted.labels) - 1)])
        )
    filters = [f"{column} = ?" for column in ("tenant", *columns)]
    if wanted.code is not None:
        # The fewest have this code: no other index is to be taken.
        filters = ["tenant = ?", *(f"+{one}" for one in filters[1:-1]), "code = ? AND code <> ''"]
    return QUERIES["tasks"].format(filters=" AND ".join(filters))


def _asked(wanted: TaskFilter) -> Mapping[str, str | int | None]:
    columns = ("status", "type", "server_id", "code")
    return {column: getattr(wanted, column) for column in columns}


def _unseen(vector: Vector) -> list[tuple[int, int]]:
    """Gives the positions that a vector has not: each time those between two."""
    numbers = sorted(vector)
    ends = [(number + 1) << POSITION_BITS for number in numbers[:-1]]
    starts = [number << POSITION_BITS | vector[number] for number in numbers] or [0]
    return list(zip(starts, [*ends, _LAST], strict=True))


def _passed(vector: Vector) -> int:
    """Gives the position up to which a vector has all: who saw an epoch begin saw those before."""
    begun = [number << POSITION_BITS | count for number, count in vector.items() if count]
    return max(begun) if begun else min(vector, default=0) << POSITION_BITS
