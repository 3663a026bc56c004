"""Figures in SQLite: see ``AddFigures`` and ``Figures`` for what each call does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import apsw

from inferry.server.figures.cell import KEPT_S, Cell, cell_of, cell_row
from inferry.server.store import POSITION_BITS
from inferry.server.store.counting import AddFigures
from inferry.server.store.figures import Failure, Uncounted
from inferry.server.store.operations import Epoch, Logged, Purge
from inferry.server.store.rows import EVENT, Row, event_of, task_of
from inferry.server.store.sqlite.queries import QUERIES

_EVENT_ENDS = 1 + len(EVENT)


def add_figures(cursor: apsw.Cursor, operation: AddFigures, own: int) -> int:
    """Does one; returns how many events of the start are counted."""
    row = cursor.execute(QUERIES["counted"], (operation.number,)).fetchone()
    counted = int(row[0]) if row else 0
    if counted != operation.after:
        return counted
    for key, cell in operation.cells.items():
        sum_ = Cell()
        for kept in cursor.execute(QUERIES["figure"], (*key, own)).fetchall():
            sum_.add(cell_of(kept))
        sum_.add(cell)
        cursor.execute(QUERIES["put_figure"], (*key, own, *cell_row(sum_)))
    if operation.upto > counted:
        cursor.execute(QUERIES["put_counted"], (operation.number, operation.upto))
    return operation.upto


def forget_figures(cursor: apsw.Cursor, operation: Purge) -> None:
    """Drops what was kept long enough."""
    for step_s, kept_s in KEPT_S.items():
        before_s = operation.now_ms // 1_000 - kept_s
        values = {"step_s": step_s, "before_s": before_s, "limit": operation.limit}
        cursor.execute(QUERIES["forget_figures"], values)
    cursor.execute(QUERIES["forget_counted"])


class SqliteFigureReads(ABC):
    """Reads figures, and what is still to be counted."""

    epoch: Epoch

    @abstractmethod
    def _rows(self, query: str, values: Row | dict[str, str | int] = ()) -> list[Row]:
        """Runs a query."""

    async def figures(
        self, step_s: int, task_type: str, from_s: int, to_s: int
    ) -> Sequence[tuple[int, Cell]]:
        """See ``Figures.figures``."""
        rows = self._rows(QUERIES["figures"], (step_s, task_type, from_s, to_s))
        return [(row[0], cell_of(row[1:])) for row in rows]

    async def figure_types(self, step_s: int, from_s: int, to_s: int) -> Sequence[str]:
        """See ``Figures.figure_types``."""
        span: dict[str, str | int] = {"step_s": step_s, "from_s": from_s, "to_s": to_s}
        return [name for (name,) in self._rows(QUERIES["figure_types"], span)]

    async def uncounted(self) -> Sequence[Uncounted]:
        """See ``Figures.uncounted``."""
        rows = self._rows(QUERIES["uncounted"], (self.epoch.number,))
        found = [
            Uncounted(number, counted, (position or 0) % (1 << POSITION_BITS))
            for number, counted, position in rows
        ]
        return [one for one in found if one.logged > one.counted]

    async def logged_by(self, number: int, after: int, limit: int) -> Sequence[Logged]:
        """See ``Figures.logged_by``."""
        span = number << POSITION_BITS | after, (number + 1) << POSITION_BITS
        return [logged_of(row) for row in self._rows(QUERIES["logged"], (*span, limit))]

    async def failures(
        self, since_ms: int, before: tuple[int, int], limit: int
    ) -> Sequence[Failure]:
        """See ``Figures.failures``."""
        rows = self._rows(QUERIES["failures"], (since_ms, *before, limit))
        return [Failure(*row) for row in rows]

    async def running_counts(self) -> Mapping[str, int]:
        """See ``Figures.running_counts``."""
        return {str(name): count for name, count in self._rows(QUERIES["running_counts"])}


def logged_of(row: Row) -> Logged:
    """Reads what ``logged`` finds: a position, an event and its task."""
    record = task_of(row[_EVENT_ENDS:])
    return Logged(row[0], event_of(record.spec.id, row[1:_EVENT_ENDS]), record)
