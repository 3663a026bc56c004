"""How many tasks wait: counted with each change, written once a transaction."""

from collections import Counter
from collections.abc import Iterable

import apsw

from inferry.server.store.operations import RoomFor
from inferry.server.store.rows import Row
from inferry.server.store.sqlite.queries import QUERIES
from inferry.server.task.record import TaskRecord


class WaitingCounts:
    """Counts by tenant and type, as the transaction that runs leaves them.

    Args:
        cursor: The one that writes.
    """

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        #: By tenant and type, as read from the table and counted on; None before they are read.
        self._counts: Counter[tuple[str, str]] | None = None
        self._tenants: Counter[str] = Counter()
        self._total = 0
        #: What differs from the table.
        self._changed: set[tuple[str, str]] = set()

    def admit(self, record: TaskRecord, room: RoomFor | None) -> None:
        """Counts a task that begins to wait.

        Raises:
            InferryError: There is no room for it; it is not counted.
        """
        self._read()
        if room is not None:
            tenant = record.spec.tenant
            refusal = room(tenant, self._total, self._tenants[tenant])
            if refusal is not None:
                raise refusal
        self._add(record, 1)

    def leave(self, record: TaskRecord) -> None:
        """Counts a task no more."""
        self._add(record, -1)

    def write(self) -> None:
        """Writes what has changed: to be called before the commit."""
        if not self._changed:
            return
        counts, changed = self._read(), self._changed
        gone = [pair for pair in changed if not counts[pair]]
        there = [(*pair, counts[pair]) for pair in changed if counts[pair]]
        _write(self._cursor, "count_none_waiting", gone)
        _write(self._cursor, "count_waiting", there)
        for pair in gone:
            del counts[pair]
        changed.clear()

    def forget(self) -> None:
        """Has to be called when a transaction was rolled back, or others wrote rows."""
        self._counts = None
        self._changed.clear()

    def _add(self, record: TaskRecord, count: int) -> None:
        tenant = record.spec.tenant
        pair = tenant, record.spec.type
        self._read()[pair] += count
        self._tenants[tenant] += count
        self._total += count
        if not self._tenants[tenant]:
            del self._tenants[tenant]
        self._changed.add(pair)

    def _read(self) -> Counter[tuple[str, str]]:
        if self._counts is None:
            rows: list[Row] = self._cursor.execute(QUERIES["waiting_counts"]).fetchall()
            self._counts = Counter({(tenant, name): tasks for tenant, name, tasks in rows})
            self._tenants, self._total = Counter(), self._counts.total()
            for (tenant, _), tasks in self._counts.items():
                self._tenants[tenant] += tasks
        return self._counts


def _write(cursor: apsw.Cursor, query: str, rows: Iterable[tuple[str | int, ...]]) -> None:
    for row in rows:
        cursor.execute(QUERIES[query], row)
