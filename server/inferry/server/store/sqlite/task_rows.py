"""The rows of tasks: each is written once a transaction, as its last change left it."""

import apsw

from inferry.server.errors import PurgedError, TaskNotFoundError
from inferry.server.store.rows import (
    Row,
    ending_row,
    placing_row,
    report_row,
    state_row,
    task_of,
)
from inferry.server.store.sqlite.queries import QUERIES
from inferry.server.task.record import TaskRecord

_UPDATE_REPORT = QUERIES["update_report"]
_UPDATE_STATUS = QUERIES["update_status"]
_UPDATE_ENDING = QUERIES["update_ending"]
_UPDATE_STATE = QUERIES["update_state"]
_TASK = QUERIES["task"]

#: Records kept in memory at most; the oldest go first.
_RUNNING_KEPT = 10_000


class TaskRows:
    """Finds tasks, and writes what became of them.

    Args:
        cursor: The one that writes.
    """

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        #: Tasks with an open attempt and their numbers, as this connection left them: nearly all
        #: changes are to these, and reading a row takes as long as writing its change.
        self._running: dict[str, tuple[int, TaskRecord]] = {}
        #: By number: tasks as their rows have them, and as those are to be.
        self._behind: dict[int, tuple[TaskRecord, TaskRecord]] = {}

    def find(self, task_id: str, tenant: str | None) -> tuple[int, TaskRecord]:
        """Finds a task and its number.

        Raises:
            TaskNotFoundError: There is none, or it is another tenant's.
            PurgedError: Its retention is over.
        """
        running = self._running.get(task_id)
        if running is not None and tenant in {None, running[1].spec.tenant}:
            return running
        # Another tenant's, too, is looked up: it takes as long as one that is not there.
        self.write()
        # All rows are fetched, always: a statement that is not at its end would keep the
        # connection's view of the database, and with it the WAL.
        rows: list[Row] = self._cursor.execute(_TASK, (task_id, tenant)).fetchall()
        for row in rows:
            return row[0], task_of(row)
        if self._cursor.execute(QUERIES["tombstone"], (task_id, tenant)).fetchall():
            raise PurgedError(task_id)
        raise TaskNotFoundError(task_id)

    def remember(self, number: int, record: TaskRecord) -> None:
        """Keeps a task in memory as its row is, or is to be."""
        task_id = record.spec.id
        if not record.running:
            self._running.pop(task_id, None)
            return
        self._running[task_id] = (number, record)
        if len(self._running) > _RUNNING_KEPT:
            del self._running[next(iter(self._running))]

    def change(self, number: int, before: TaskRecord, after: TaskRecord) -> None:
        """Is to write a task; ``write`` does."""
        if number in self._behind:
            before, _ = self._behind[number]
        self._behind[number] = before, after
        self.remember(number, after)

    def write(self) -> None:
        """Writes what has changed: to be called before the rows are looked at, and at the end."""
        behind, self._behind = self._behind, {}
        for number, (before, after) in behind.items():
            self._update(number, before, after)

    def forget(self) -> None:
        """Has to be called when a transaction was rolled back, or others wrote rows."""
        self._running.clear()
        self._behind.clear()

    def _update(self, number: int, before: TaskRecord, after: TaskRecord) -> None:
        """Writes no more than what may differ."""
        report, ending = report_row(after), ending_row(after)
        if placing_row(after) != placing_row(before):
            self._cursor.execute(_UPDATE_STATE, (*state_row(after), number))
        elif ending != ending_row(before):
            self._cursor.execute(_UPDATE_ENDING, (*report, after.status, *ending, number))
        elif after.status is not before.status:
            self._cursor.execute(_UPDATE_STATUS, (*report, after.status, number))
        else:
            self._cursor.execute(_UPDATE_REPORT, (*report, number))
