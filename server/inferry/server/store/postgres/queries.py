"""The PostgreSQL store's SQL, read once from ``sql``."""

from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from inferry.server.access.codes import KeptCode
from inferry.server.figures.cell import CELL
from inferry.server.store import POSITION_BITS, hook_rows, outbox, rows
from inferry.server.store.postgres.words import write_words
from inferry.server.store.queries import load_queries

FOLDER: Traversable = files("inferry.server") / "store" / "postgres" / "sql"

#: Pairs of parameters.
KEY_ID = ("tenant", "request_id")
TASK_ID = ("id", "tenant")

REQUEST_ID = ("tenant", "request_id", "digest", "task_id", "until_ms")
#: What the rows are made of that ``writes`` lays out.
TASKS_GIVEN = ("position", *rows.SPEC, *rows.STATE)
PAYLOADS_GIVEN = ("id", "body")
LABELS_GIVEN = ("id", "key", "value", "tenant")
REPORTS_GIVEN = ("task_number", "position", *rows.REPORT)
STATES_GIVEN = ("task_number", "position", *rows.STATE)
EVENTS_GIVEN = ("task_number", *rows.EVENT, "position")
ATTEMPTS_GIVEN = ("task_number", *rows.ATTEMPT)
COUNTS_GIVEN = ("tenant", "type", "number", "tasks")
FIGURES_GIVEN = ("step_s", "type", "at_s", "number", *CELL)
LINES_GIVEN = ("route", "tenant", "priority", "queued_ms", "id", "size")
DELIVERY_KEY = ("task_id", "webhook_id", "seq")
CHANGED_ENTRY = (*DELIVERY_KEY, *outbox.ENTRY_CHANGES)
OUTCOMES_GIVEN = ("task_number", "result", "details", "late_result")

#: Filled in when it is asked.
_LATER = (
    *("session", "locks", "number", "webhooks", "head", "commits", "waiting", "latest_ms"),
    *("filters", "page"),
)

#: All other columns are whole numbers.
_TYPES = {
    "asynchronous": "boolean",
    "attempts": "bytea",
    "body": "bytea",
    "code": "text",
    "details": "bytea",
    "digest": "bytea",
    "error": "text",
    "flaw": "text",
    "id": "text",
    "idempotent": "boolean",
    "key": "text",
    "kind": "smallint",
    "labels": "bytea",
    "late_result": "bytea",
    "losses": "text",
    "message": "text",
    "outcome": "smallint",
    "priority": "smallint",
    "progress": "double precision",
    "request_id": "text",
    "result": "bytea",
    "route": "text",
    "runs": "bytea",
    "server_id": "text",
    "status": "smallint",
    "task_id": "text",
    "tenant": "text",
    "traceparent": "text",
    "tracestate": "text",
    "type": "text",
    "value": "text",
    "waits": "bytea",
    "webhook_id": "text",
}


def arrays(given: Sequence[rows.Row], columns: Sequence[str]) -> list[Sequence[Any]]:
    """Turns rows into the arrays of a statement that is given these columns."""
    if not given:
        return [()] * len(columns)
    return [
        write_words(values) if _TYPES.get(column) == "text" else values
        for column, values in zip(columns, zip(*given, strict=True), strict=True)
    ]


def _unnest(columns: Sequence[str], first: int = 1) -> str:
    """Makes rows of arrays, which are the parameters from the first on."""
    arrays = (
        f"${number}::{_TYPES.get(column, 'bigint')}[]"
        for number, column in enumerate(columns, first)
    )
    return f"unnest({', '.join(arrays)})"


def _of(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{table}.{column}" for column in columns)


def _set(columns: Sequence[str]) -> str:
    return ", ".join(f"{column} = given.{column}" for column in columns)


#: The end of a statement that dropped events: keeps the last one of each replica.
_NOTE_DROPPED = """INSERT INTO horizons (number, n)
SELECT position >> {bits}, max(position & ((1::bigint << {bits}) - 1))
FROM dropped GROUP BY 1 ORDER BY 1
ON CONFLICT (number) DO UPDATE SET n = greatest(horizons.n, excluded.n)"""

_EVENT = ", ".join(EVENTS_GIVEN)
#: Their order in the log is drawn row by row.
_INSERT_EVENTS = """INSERT INTO events ({event})
SELECT {event} FROM {given} AS given ({event}) ORDER BY position"""

#: Where the arrays of each begin.
_COUNTS = 1 + len(EVENTS_GIVEN)
_ATTEMPTS = _COUNTS + len(COUNTS_GIVEN)
_OUTCOMES = _ATTEMPTS + len(ATTEMPTS_GIVEN)
_COUNTED = """counted AS (
    INSERT INTO waiting ({counts}) SELECT {counts} FROM {given} AS given ({counts})
    ON CONFLICT (tenant, type, number) DO UPDATE SET tasks = waiting.tasks + excluded.tasks
)"""

_PARTS = {
    "task": ", ".join(rows.TASK),
    "tasks_task": _of("tasks", rows.TASK),
    "task_of_found": _of("found", rows.TASK),
    "task_of_named": _of("named", rows.TASK),
    "task_of_next": _of("next", rows.TASK),
    "spec": ", ".join(rows.SPEC),
    "state": ", ".join(rows.STATE),
    "report": ", ".join(rows.REPORT),
    "set_report": _set(rows.REPORT),
    "set_state": _set(rows.STATE),
    "event": ", ".join(rows.EVENT),
    "event_of_page": _of("page", rows.EVENT),
    "event_of_events": _of("events", rows.EVENT),
    "attempt": ", ".join(rows.ATTEMPT),
    "stopped": _of("attempts", rows.ATTEMPT),
    "server": ", ".join(rows.SERVER),
    "server_and_owner": ", ".join((*rows.SERVER, "owner")),
    "request_id": ", ".join(REQUEST_ID),
    "request_ids_request_id": _of("request_ids", REQUEST_ID),
    "request_ids_given": _unnest(REQUEST_ID),
    "tasks_given": f"ROWS FROM ({_unnest(TASKS_GIVEN)})",
    "payloads_given": _unnest(PAYLOADS_GIVEN, 1 + len(TASKS_GIVEN)),
    "labels_given": _unnest(LABELS_GIVEN, 1 + len(TASKS_GIVEN) + len(PAYLOADS_GIVEN)),
    "reports_given": _unnest(REPORTS_GIVEN),
    "states_given": _unnest(STATES_GIVEN),
    "insert_events": _INSERT_EVENTS.format(event=_EVENT, given=_unnest(EVENTS_GIVEN)),
    "counted": _COUNTED.format(
        counts=", ".join(COUNTS_GIVEN), given=_unnest(COUNTS_GIVEN, _COUNTS)
    ),
    "attempts_given": _unnest(ATTEMPTS_GIVEN, _ATTEMPTS),
    "outcomes_given": _unnest(OUTCOMES_GIVEN, _OUTCOMES),
    "cell": ", ".join(CELL),
    "code": ", ".join(KeptCode._fields),
    "set_cell": ", ".join(f"{column} = excluded.{column}" for column in CELL),
    "figure": ", ".join(FIGURES_GIVEN),
    "figures_given": _unnest(FIGURES_GIVEN),
    "lines_given": f"ROWS FROM ({_unnest(LINES_GIVEN)})",
    "line": ", ".join(LINES_GIVEN),
    "note_dropped": _NOTE_DROPPED.format(bits=POSITION_BITS),
    "bits": str(POSITION_BITS),
    **{name: f"{{{name}}}" for name in _LATER},
}

#: Each query of ``queries.sql`` by its name.
QUERIES = load_queries(FOLDER, _PARTS)

#: Each query of ``webhooks.sql``.
HOOK_QUERIES = load_queries(
    FOLDER,
    {
        "hook": ", ".join(hook_rows.HOOK),
        "webhooks_hook": _of("webhooks", hook_rows.HOOK),
        "hook_marks": ", ".join(f"${number}" for number in range(1, len(hook_rows.HOOK) + 1)),
        "set_hook": ", ".join(f"{column} = excluded.{column}" for column in hook_rows.HOOK[1:]),
        "delivery": ", ".join(hook_rows.DELIVERY),
        "deliveries_entry": _of("deliveries", outbox.ENTRY),
        "new_entry": ", ".join(outbox.NEW_ENTRY),
        "given_new_entry": _of("given", outbox.NEW_ENTRY),
        "new_entries": _unnest(outbox.NEW_ENTRY),
        "changed_entry": ", ".join(CHANGED_ENTRY),
        "changed_entries": _unnest(CHANGED_ENTRY),
        "set_entry": _set(outbox.ENTRY_CHANGES),
        "keys": _unnest(DELIVERY_KEY),
        "keys_behind": _unnest(DELIVERY_KEY, 2),
    },
    "webhooks.sql",
)
