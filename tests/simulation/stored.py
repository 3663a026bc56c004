"""What a store says of tasks, as the next gateway would find it, and of those it has purged."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from inferry.server.store import rows
from inferry.server.task.record import Attempt, Event, Outcome, TaskRecord
from tests.simulation.graves import KEPT
from tests.simulation.ground import Ground

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


def read(ground: Ground, tombstone_ms: int) -> dict[str, Stored]:
    """Reads all tasks that a store has or had.

    Args:
        ground: Where it is.
        tombstone_ms: How long ids of purged tasks are kept.
    """
    graves, living = _read(ground, KEPT), _read(ground, "")
    dug = ground.rows(f"SELECT task_number, until_ms FROM {KEPT}tasks ORDER BY rowid")
    for before, (number, until_ms) in enumerate(dug):
        graves[number].purged_ms = until_ms - tombstone_ms
        graves[number].buried_before = before
    return {one.record.spec.id: one for one in (*graves.values(), *living.values())}


def leftovers(ground: Ground) -> list[str]:
    """Tells what a store has of tasks that it does not have."""
    return [
        f"{table} of a task are left that is gone"
        for table in _PARTS
        if ground.rows(
            f"SELECT 1 FROM {table} WHERE task_number NOT IN (SELECT task_number FROM tasks)"
        )
    ]


def _read(ground: Ground, kept: str) -> dict[int, Stored]:
    tasks = ground.rows(f"SELECT {_TASK} FROM {kept}tasks ORDER BY task_number")
    numbered = {row[0]: Stored(rows.task_of(row)) for row in tasks}

    def parts(table: str, columns: str, order: str = "") -> list[tuple[Stored, list[Any]]]:
        found = ground.rows(
            f"SELECT task_number, {columns} FROM {kept}{table} ORDER BY task_number {order}"
        )
        return [(numbered[number], row) for number, *row in found if number in numbered]

    for stored, row in parts("events", _EVENT, ", seq"):
        stored.events.append(rows.event_of(stored.record.spec.id, row))
    for stored, row in parts("attempts", _ATTEMPT, ", number"):
        stored.attempts.append(rows.attempt_of(row))
    for stored, row in parts("outcomes", "result, details, late_result"):
        stored.outcome = Outcome(*row)
    for stored, (body,) in parts("payloads", "body"):
        stored.ask = orjson.loads(body)["ask"]
    return numbered
