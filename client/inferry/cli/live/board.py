"""The tasks of a live table: all that have not ended, and the newest of those that have."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksResponse

#: Tasks that have ended and are kept; more than a screen shows.
ENDED_KEPT = 500
#: Characters of a text that are kept; more than a line shows.
_TEXT_CHARS = 200

_OPEN = frozenset({Task.PENDING, Task.PROCESSING})


@dataclass(slots=True)
class Row:
    """What is shown of a task."""

    id: str
    #: Empty until it is known: the events of an older gateway do not tell it.
    type: str
    status: Task.Status.ValueType
    progress: float
    #: What its server says of it, or why it did not complete.
    text: str


class Board:
    """Keeps the tasks.

    Args:
        task_type: Of all tasks; empty if there are several.
        ended_kept: How many that have ended.
    """

    def __init__(self, task_type: str = "", ended_kept: int = ENDED_KEPT) -> None:
        self._type = task_type
        self._ended_kept = ended_kept
        self._open: dict[str, Row] = {}
        #: The newest last.
        self._ended: OrderedDict[str, Row] = OrderedDict()
        #: How many have ended so far, by how.
        self.ends: Counter[Task.Status.ValueType] = Counter()

    @property
    def open(self) -> Counter[Task.Status.ValueType]:
        """How many have not ended, by status."""
        return Counter(row.status for row in self._open.values())

    def take(self, response: WatchTasksResponse) -> None:
        """Takes what the gateway tells."""
        if response.restarted:
            self._open.clear()
        for task in response.tasks:
            self._put(_row_of(task))
        for event in response.events:
            self._hear(event)

    def rows(self, limit: int, only: Task.Status.ValueType | None = None) -> list[Row]:
        """Gives the tasks to show: those that run, those that wait, those that ended last.

        Args:
            limit: How many at most.
            only: Only those of this status.
        """
        found: Iterator[Row] = chain(
            (row for row in self._open.values() if row.status == Task.PROCESSING),
            (row for row in self._open.values() if row.status == Task.PENDING),
            reversed(self._ended.values()),
        )
        return list(islice((row for row in found if only in {None, row.status}), limit))

    def _hear(self, event: TaskEvent) -> None:
        if event.HasField("task"):
            row = _row_of(event.task)
        else:
            known = self._open.get(event.task_id) or self._ended.get(event.task_id)
            task_type = event.type or (known.type if known else self._type)
            text = event.message[:_TEXT_CHARS]
            row = Row(event.task_id, task_type, event.status, event.progress, text)
        if event.kind == TaskEvent.FINISHED:
            self.ends[row.status] += 1
        self._put(row)

    def _put(self, row: Row) -> None:
        if row.status in _OPEN:
            self._ended.pop(row.id, None)
            self._open[row.id] = row
            return
        self._open.pop(row.id, None)
        self._ended[row.id] = row
        if len(self._ended) > self._ended_kept:
            self._ended.popitem(last=False)


def _row_of(task: Task) -> Row:
    text = (task.error or task.message)[:_TEXT_CHARS]
    return Row(task.id, task.type, task.status, task.progress, text)
