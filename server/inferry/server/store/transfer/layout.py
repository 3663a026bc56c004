"""What there is to move, in a form that every store reads and writes alike.

A row has the values that a SQLite file has for its columns: whole numbers for truth values, bytes
for JSON. Tables come in the order of their keys, which is the same in every store.
"""

from typing import NamedTuple

from inferry.server.figures.cell import CELL, Key
from inferry.server.store.hook_rows import DELIVERY_ROW, HOOK
from inferry.server.store.rows import ATTEMPT, EVENT, SERVER, TASK

#: Rows that are written in one transaction, at most.
BATCH_ROWS = 1_000
#: Rows that are read at once where each may have megabytes.
_WIDE_ROWS = 16


class Table(NamedTuple):
    """One kind of rows."""

    name: str
    #: What is copied, and compared afterwards.
    columns: tuple[str, ...]
    #: What makes a row, and orders them.
    key: tuple[str, ...]
    #: Further columns that are copied: not every store has to keep them.
    beside: tuple[str, ...] = ()
    #: False where the target makes it out of the rest.
    copied: bool = True
    #: False where not every store can keep all of it.
    compared: bool = True
    #: Rows that are read at once.
    page: int = BATCH_ROWS


TABLES = (
    # The starts of gateways, and how many events each has logged at least.
    Table("epochs", ("number", "tag"), ("number",), beside=("head",)),
    # Of each start the last event that was dropped, and the position up to which that makes the
    # log useless to who has but one place in it.
    Table("horizons", ("number", "n"), ("number",), compared=False),
    Table("horizon", ("position",), ("position",)),
    Table("clock", ("latest_ms",), ("latest_ms",)),
    Table("servers", SERVER, ("id",), page=_WIDE_ROWS),
    Table("paused_types", ("type", "reason", "since_ms"), ("type",)),
    Table(
        "request_ids",
        ("tenant", "request_id", "digest", "task_id", "until_ms"),
        ("tenant", "request_id"),
    ),
    Table("tombstones", ("id", "tenant", "until_ms"), ("id",)),
    # With the position of each one's last event.
    Table("tasks", (*TASK, "position"), ("task_number",)),
    Table("payloads", ("task_number", "body"), ("task_number",), page=_WIDE_ROWS),
    Table(
        "outcomes",
        ("task_number", "result", "details", "late_result"),
        ("task_number",),
        page=_WIDE_ROWS,
    ),
    Table("labels", ("task_number", "key", "value", "tenant"), ("task_number", "key")),
    Table("attempts", ("task_number", *ATTEMPT), ("task_number", "number")),
    # With what orders those of all starts.
    Table("events", ("task_number", *EVENT, "position"), ("task_number", "seq"), beside=("ord",)),
    # What happened to tasks, and of each start how many events were counted.
    Table("figures", (*Key._fields, "number", *CELL), (*Key._fields, "number")),
    Table("counted", ("number", "n"), ("number",)),
    Table("webhooks", HOOK, ("id",)),
    # As the source left them: whatever it had claimed is claimed anew.
    Table("deliveries", DELIVERY_ROW, ("task_id", "webhook_id", "seq"), page=_WIDE_ROWS),
    # How many tasks wait, as the source counted them and the target does.
    Table("waiting", ("tenant", "type", "tasks"), ("tenant", "type"), copied=False),
)

#: Those that may have rows in a store that nobody has used: of starts, and of time.
_OF_STARTS = {"epochs", "horizons", "horizon", "clock", "figures", "counted", "waiting"}
#: Those that are empty in it.
CONTENT = tuple(table.name for table in TABLES if table.name not in _OF_STARTS)
