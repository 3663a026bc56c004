"""Keeps what a purge drops: a trigger in the database copies it, within the purge itself."""

from pathlib import Path

import apsw

#: What a task has rows in; those of ``tasks`` last, for they number the graves.
TABLES = ("payloads", "outcomes", "events", "attempts", "tasks")
#: Places are used again: those of graves lie apart, and each grave's from the others.
_APART = 1_000_000
#: Before the name of a table, for what was in it and was purged.
KEPT = "kept_"


def dig(path: Path) -> None:
    """Prepares a database that has the schema and nothing else."""
    db = apsw.Connection(str(path))
    try:
        for table in TABLES:
            db.execute(f"CREATE TABLE {KEPT}{table} AS SELECT * FROM {table} WHERE FALSE")
        db.execute(f"ALTER TABLE {KEPT}tasks ADD COLUMN until_ms INTEGER")
        copies = "".join(f"{_copy(db, table)};" for table in TABLES)
        db.execute(f"CREATE TRIGGER keep AFTER INSERT ON tombstones BEGIN {copies} END")
    finally:
        db.close()


def graves(db: apsw.Connection) -> int:
    """Counts the tasks that were purged: their rows are numbered, and none ever goes."""
    return db.execute(f"SELECT ifnull(max(rowid), 0) FROM {KEPT}tasks").get  # type: ignore[no-any-return]


def _copy(db: apsw.Connection, table: str) -> str:
    names = [str(row[1]) for row in db.execute(f"PRAGMA table_info({table})")]
    apart = f"task_number + (SELECT {_APART} * (1 + count(*)) FROM {KEPT}tasks)"
    columns = [apart if name == "task_number" else name for name in names]
    if table == "tasks":
        columns.append("NEW.until_ms")
    buried = "SELECT task_number FROM tasks WHERE id = NEW.id"
    return (
        f"INSERT INTO {KEPT}{table} SELECT {', '.join(columns)} FROM {table} "
        f"WHERE task_number = ({buried})"
    )
