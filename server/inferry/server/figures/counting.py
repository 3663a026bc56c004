"""Counts events into cells, one a second and type."""

from collections.abc import Collection

from inferry.server.figures.buckets import bucket_of
from inferry.server.figures.cell import ALL, KEPT_S, TYPES_LIMIT, Cell, Key
from inferry.server.task.record import Event, EventKind, Status, TaskRecord
from inferry.server.telemetry.names import Names as Known
from inferry.wire.figures import OTHER

# A look-up in an enumeration costs as much as the rest of this.
_CREATED, _DISPATCHED, _FINISHED = EventKind.CREATED, EventKind.DISPATCHED, EventKind.FINISHED

#: By second and type.
Seconds = dict[int, dict[str, Cell]]


class Names:
    """The types that have figures of their own: the first so many that came, of those in use."""

    def __init__(self) -> None:
        self._known = Known(TYPES_LIMIT)

    def of(self, task_type: str) -> str:
        """Gives the name under which tasks of a type are counted."""
        self._known.learn(task_type)
        return self._known.label(task_type)

    def use(self, names: Collection[str]) -> None:
        """Takes the names that are in use; all others have no place any more."""
        self._known = Known(TYPES_LIMIT, sorted({*names} - {OTHER}))


class Counts:
    """What was counted so far."""

    def __init__(self, names: Names) -> None:
        self.seconds: Seconds = {}
        self._names = names

    def add(self, event: Event, record: TaskRecord) -> None:
        """Counts an event; ``record`` is its task after that, or as it is now.

        How long something took is left out where a later event took that from the record.
        """
        kind = event.kind
        if kind is _CREATED:
            self._cell(event, record).created += 1
        elif kind is _DISPATCHED:
            if record.attempt == event.attempt and record.queued_ms <= event.at_ms:
                waits = self._cell(event, record).waits
                bucket = bucket_of(event.at_ms - record.queued_ms)
                waits[bucket] = waits.get(bucket, 0) + 1
        elif kind is _FINISHED:
            self._add_end(self._cell(event, record), event, record)

    def take(self) -> Seconds:
        """Gives all that was counted, and begins anew."""
        seconds, self.seconds = self.seconds, {}
        return seconds

    def _add_end(self, cell: Cell, event: Event, record: TaskRecord) -> None:
        if event.status is Status.CANCELLED:
            cell.cancelled += 1
            return
        if event.status is Status.COMPLETED:
            cell.completed += 1
        else:
            cell.failed += 1
        ran = event.server_id is not None and record.attempt == event.attempt
        if ran and record.started_ms <= event.at_ms:
            bucket = bucket_of(event.at_ms - record.started_ms)
            cell.runs[bucket] = cell.runs.get(bucket, 0) + 1

    def _cell(self, event: Event, record: TaskRecord) -> Cell:
        second, name = event.at_ms // 1_000, self._names.of(record.spec.type)
        cells = self.seconds.get(second)
        if cells is None:
            cells = self.seconds[second] = {}
        cell = cells.get(name)
        if cell is None:
            cell = cells[name] = Cell()
        return cell


def cells_of(seconds: Seconds) -> dict[Key, Cell]:
    """Adds seconds up to the stretches that are kept, each type's and those of all together."""
    cells: dict[Key, Cell] = {}
    for second, by_type in seconds.items():
        for name, cell in by_type.items():
            for step_s in KEPT_S:
                at_s = second - second % step_s
                for key in (Key(step_s, name, at_s), Key(step_s, ALL, at_s)):
                    cells.setdefault(key, Cell()).add(cell)
    return cells
