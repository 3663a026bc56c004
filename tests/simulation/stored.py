"""What a database says of tasks, as the next gateway would find it, and of those it has purged."""

from dataclasses import dataclass, field
from pathlib import Path

import apsw
import orjson

from inferry.server.store import rows
from inferry.server.task.record import Attempt, Event, Outcome, TaskRecord
from tests.simulation.graves import KEPT

_TASK, _EVENT, _ATTEMPT = map(", ".join, (rows.TASK, rows.EVENT, rows.ATTEMPT))
#: Where a task has rows besides its own.
_PARTS = ("payloads", "outcomes", "events", "attempts", "labels")


@dataclass(slots=True)
class Stored:
    """All that a file says of one task."""

    record: TaskRecord
    events: list[Event] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    #: The request that it was created by.
    ask: str = ""
    #: When it was purged, by the gateway's clock; None if it was not.
    purged_ms: int | None = None
    #: How many tasks were purged before it.
    buried_before: int = 0


def read(path: Path, tombstone_ms: int) -> dict[str, Stored]:
    """Reads all tasks that a store's file has or had.

    Args:
        path: The file.
        tombstone_ms: How long ids of purged tasks are kept.
    """
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        graves, living = _read(db, KEPT), _read(db, "")
        dug = db.execute(f"SELECT task_number, until_ms FROM {KEPT}tasks ORDER BY rowid")
        for before, (number, until_ms) in enumerate(dug):
            graves[number].purged_ms = until_ms - tombstone_ms
            graves[number].buried_before = before
    finally:
        db.close()
    return {one.record.spec.id: one for one in (*graves.values(), *living.values())}


def leftovers(path: Path) -> list[str]:
    """Tells what a file has of tasks that it does not have."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [
            f"{table} of a task are left that is gone"
            for table in _PARTS
            if db.execute(
                f"SELECT 1 FROM {table} WHERE task_number NOT IN (SELECT task_number FROM tasks)"
            ).fetchall()
        ]
    finally:
        db.close()


def _read(db: apsw.Connection, kept: str) -> dict[int, Stored]:
    tasks = db.execute(f"SELECT {_TASK} FROM {kept}tasks")
    numbered = {row[0]: Stored(rows.task_of(row)) for row in tasks}

    def parts(table: str, columns: str, order: str = "") -> list[tuple[Stored, list[object]]]:
        found = db.execute(
            f"SELECT task_number, {columns} FROM {kept}{table} ORDER BY task_number {order}"
        )
        return [(numbered[number], row) for number, *row in found if number in numbered]

    for stored, row in parts("events", _EVENT, ", seq"):
        stored.events.append(rows.event_of(stored.record.spec.id, row))
    for stored, row in parts("attempts", _ATTEMPT, ", number"):
        stored.attempts.append(rows.attempt_of(row))
    for stored, row in parts("outcomes", "result, details, late_result"):
        stored.outcome = Outcome(*row)  # type: ignore[arg-type]  # as the schema has it
    for stored, (body,) in parts("payloads", "body"):
        stored.ask = orjson.loads(body)["ask"]  # type: ignore[arg-type]
    return numbered
