"""What happened to tasks of one type in one stretch of time."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from inferry.server.figures.buckets import Histogram

#: Stretches that are kept: a minute and an hour, in seconds; and for how long, in seconds.
KEPT_S = {60: 86_400, 3_600: 30 * 86_400}
#: Stands for all types together.
ALL = ""
#: Types that have cells of their own; the others share one.
TYPES_LIMIT = 32


class Key(NamedTuple):
    """Which cell."""

    #: Length of the stretch, in seconds.
    step_s: int
    #: A type, ``OTHER`` or ``ALL``.
    type: str
    #: Where it begins, in seconds since 1970-01-01 UTC: a multiple of the length.
    at_s: int


class Cell:
    """Counts; they add up with those of other cells."""

    __slots__ = (
        "cancelled",
        "completed",
        "created",
        "failed",
        "running",
        "runs",
        "sampled_s",
        "waiting",
        "waits",
    )

    def __init__(self) -> None:
        self.created = 0
        self.completed = 0
        #: FAILED and TIMEOUT.
        self.failed = 0
        self.cancelled = 0
        #: From the beginning of a wait in the queue to each dispatch.
        self.waits: Histogram = {}
        #: Attempts that ended their task, unless they were cancelled.
        self.runs: Histogram = {}
        #: When it was last looked how many wait and run; 0 for never. And how many did.
        self.sampled_s = 0
        self.waiting = 0
        self.running = 0

    def add(self, other: "Cell") -> None:
        """Adds the counts of another cell; of what waits and runs the later look stays."""
        self.created += other.created
        self.completed += other.completed
        self.failed += other.failed
        self.cancelled += other.cancelled
        for mine, more in ((self.waits, other.waits), (self.runs, other.runs)):
            for bucket, count in more.items():
                mine[bucket] = mine.get(bucket, 0) + count
        if other.sampled_s >= self.sampled_s:
            self.look(other.sampled_s, other.waiting, other.running)

    def look(self, sampled_s: int, waiting: int, running: int) -> None:
        """Notes how many wait and run."""
        self.sampled_s, self.waiting, self.running = sampled_s, waiting, running


#: What a row has of a cell.
CELL = (
    *("created", "completed", "failed", "cancelled"),
    *("waits", "runs", "sampled_s", "waiting", "running"),
)


def cell_row(cell: Cell) -> tuple[Any, ...]:
    """Lays a cell out as the columns of ``CELL``."""
    return (
        *(cell.created, cell.completed, cell.failed, cell.cancelled),
        *(_write(cell.waits), _write(cell.runs)),
        *(cell.sampled_s, cell.waiting, cell.running),
    )


def cell_of(row: Iterable[Any]) -> Cell:
    """Reads a cell from the columns of ``CELL``."""
    cell = Cell()
    cell.created, cell.completed, cell.failed, cell.cancelled, waits, runs, *looked = row
    cell.waits, cell.runs = _read(waits), _read(runs)
    cell.look(*looked)
    return cell


def _write(histogram: Histogram) -> bytes:
    return orjson.dumps({str(bucket): histogram[bucket] for bucket in sorted(histogram)})


def _read(text: bytes) -> Histogram:
    return {int(bucket): count for bucket, count in orjson.loads(text).items()}
