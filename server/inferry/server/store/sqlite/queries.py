"""The SQLite store's SQL, read once from ``sql``."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from inferry.server.access.codes import KeptCode
from inferry.server.figures.cell import CELL
from inferry.server.store import POSITION_BITS, hook_rows, outbox, rows
from inferry.server.store.queries import load_queries

FOLDER: Traversable = files("inferry.server") / "store" / "sqlite" / "sql"

#: The final tasks that a purge drops: each of its statements finds the same ones.
_DUE = (
    "SELECT task_number FROM tasks WHERE purge_ms > 0 AND purge_ms <= :now_ms "
    "ORDER BY purge_ms, task_number LIMIT :limit"
)

_PARTS = {
    "task": ", ".join(rows.TASK),
    "spec": ", ".join(rows.SPEC),
    "state": ", ".join(rows.STATE),
    "marks": ", ".join("?" * len((*rows.SPEC, *rows.STATE))),
    "report_marks": ", ".join(f"{column} = ?" for column in rows.REPORT),
    "ending_marks": ", ".join(f"{column} = ?" for column in rows.ENDING),
    "state_marks": ", ".join(f"{column} = ?" for column in rows.STATE),
    "event": ", ".join(rows.EVENT),
    "event_of_task": ", ".join(f"events.{column}" for column in rows.EVENT),
    "tasks_task": ", ".join(f"tasks.{column}" for column in rows.TASK),
    "stopped": ", ".join(f"attempts.{column}" for column in rows.ATTEMPT),
    "attempt": ", ".join(rows.ATTEMPT),
    "server": ", ".join(rows.SERVER),
    "cell": ", ".join(CELL),
    "code": ", ".join(KeptCode._fields),
    "bits": str(POSITION_BITS),
    "due": _DUE,
    "filters": "{filters}",
}


#: Each query of ``queries.sql`` by its name.
QUERIES = load_queries(FOLDER, _PARTS)

#: Each query of ``webhooks.sql``.
HOOK_QUERIES = load_queries(
    FOLDER,
    {
        "hook": ", ".join(hook_rows.HOOK),
        "hook_marks": ", ".join("?" * len(hook_rows.HOOK)),
        "delivery": ", ".join(hook_rows.DELIVERY),
        "entry": ", ".join(outbox.ENTRY),
        "entry_changes": ", ".join(f"{column} = ?" for column in outbox.ENTRY_CHANGES),
        "new_entry": ", ".join(outbox.NEW_ENTRY),
        "new_entry_marks": ", ".join("?" * len(outbox.NEW_ENTRY)),
    },
    "webhooks.sql",
)
