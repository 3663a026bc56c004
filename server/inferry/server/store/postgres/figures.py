"""Figures in PostgreSQL: see ``AddFigures`` and ``Figures`` for what each call does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from inferry.server.figures.cell import KEPT_S, Cell, Key, cell_of, cell_row
from inferry.server.store import POSITION_BITS
from inferry.server.store.counting import AddFigures
from inferry.server.store.figures import Failure, Uncounted
from inferry.server.store.operations import Logged, Purge
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.queries import FIGURES_GIVEN, QUERIES, arrays
from inferry.server.store.rows import EVENT, Row, event_of, task_of

#: Of what ``logged`` reads.
_POSITION, _EVENT_BEGINS = 1, 2
_EVENT_ENDS = _EVENT_BEGINS + len(EVENT)
_KEY_ENDS = len(Key._fields)


async def add_figures(db: Connection, operation: AddFigures, own: int) -> int:
    """Does one; returns how many events of the replica are counted."""
    await db.execute(QUERIES["begin_counted"], operation.number)
    counted = int(await db.fetchval(QUERIES["lock_counted"], operation.number))
    if counted != operation.after:
        return counted
    if operation.cells:
        await _add_cells(db, operation.cells, own)
    if operation.upto > counted:
        await db.execute(QUERIES["put_counted"], operation.number, operation.upto)
    return operation.upto


async def _add_cells(db: Connection, cells: Mapping[Key, Cell], own: int) -> None:
    sums = {key: Cell() for key in cells}
    keys = arrays([*cells], Key._fields)
    for row in await fetch(db, QUERIES["own_figures"], *keys, own):
        sums[Key(*row[:_KEY_ENDS])].add(cell_of(row[_KEY_ENDS:]))
    for key, cell in cells.items():
        sums[key].add(cell)
    rows = [(*key, own, *cell_row(cell)) for key, cell in sums.items()]
    await db.execute(QUERIES["put_figures"], *arrays(rows, FIGURES_GIVEN))


async def forget_figures(db: Connection, operation: Purge) -> None:
    """Drops what was kept long enough."""
    for step_s, kept_s in KEPT_S.items():
        before_s = operation.now_ms // 1_000 - kept_s
        await db.execute(QUERIES["forget_figures"], step_s, before_s, operation.limit)
    await db.execute(QUERIES["forget_counted"])


class PostgresFigureReads(ABC):
    """Reads figures, and what is still to be counted."""

    @abstractmethod
    async def _rows(self, query: str, *values: Any) -> list[Row]:
        """Runs a query."""

    async def figures(
        self, step_s: int, task_type: str, from_s: int, to_s: int
    ) -> Sequence[tuple[int, Cell]]:
        """See ``Figures.figures``."""
        rows = await self._rows(QUERIES["figures"], step_s, task_type, from_s, to_s)
        return [(row[0], cell_of(row[1:])) for row in rows]

    async def figure_types(self, step_s: int, from_s: int, to_s: int) -> Sequence[str]:
        """See ``Figures.figure_types``."""
        rows = await self._rows(QUERIES["figure_types"], step_s, from_s, to_s)
        return [name for (name,) in rows]

    async def uncounted(self) -> Sequence[Uncounted]:
        """See ``Figures.uncounted``."""
        return [Uncounted(*row) for row in await self._rows(QUERIES["uncounted"])]

    async def logged_by(self, number: int, after: int, limit: int) -> Sequence[Logged]:
        """See ``Figures.logged_by``."""
        span = number << POSITION_BITS | after, (number + 1) << POSITION_BITS
        return [logged_of(row) for row in await self._rows(QUERIES["logged_by"], *span, limit)]

    async def failures(
        self, since_ms: int, before: tuple[int, int], limit: int
    ) -> Sequence[Failure]:
        """See ``Figures.failures``."""
        rows = await self._rows(QUERIES["failures"], since_ms, *before, limit)
        return [Failure(*row) for row in rows]

    async def running_counts(self) -> Mapping[str, int]:
        """See ``Figures.running_counts``."""
        return {str(name): count for name, count in await self._rows(QUERIES["running_counts"])}


def logged_of(row: Row) -> Logged:
    """Reads what ``logged`` finds: whether any was missed, a position, an event and its task."""
    record = task_of(row[_EVENT_ENDS:])
    event = event_of(record.spec.id, row[_EVENT_BEGINS:_EVENT_ENDS])
    return Logged(row[_POSITION], event, record)
