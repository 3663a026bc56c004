"""Writes that go over many tasks at once.

A purge goes table by table, for rows of one task in different tables meet by its number alone.
"""

import apsw

from inferry.server.store.operations import EndRetention, Postpone, Purge
from inferry.server.store.sqlite.figures import forget_figures
from inferry.server.store.sqlite.queries import QUERIES

_PURGE = tuple(
    QUERIES[name]
    for name in (
        "forget_tombstones",
        "forget_request_ids",
        "forget_codes",
        "bury",
        "purge_payloads",
        "purge_outcomes",
        "purge_labels",
        "note_purged",
        "purge_events",
        "purge_attempts",
        "purge_webhooks",
        "purge_tasks",
    )
)


def purge(cursor: apsw.Cursor, operation: Purge) -> int:
    """Does one purge; returns how many tasks it dropped."""
    forget_figures(cursor, operation)
    values = {
        "now_ms": operation.now_ms,
        "limit": operation.limit,
        "until_ms": operation.now_ms + operation.tombstone_ms,
    }
    for statement in _PURGE:
        cursor.execute(statement, values)
    return cursor.connection.changes()


def end_retention(cursor: apsw.Cursor, operation: EndRetention) -> int:
    """Lets tasks be the first that a purge drops; returns how many."""
    before = cursor.connection.total_changes()
    cursor.executemany(QUERIES["end_retention"], operation.seen)
    return cursor.connection.total_changes() - before


def postpone(cursor: apsw.Cursor, operation: Postpone) -> int:
    """Puts deadlines off; returns of how many tasks."""
    values = {"until_ms": operation.until_ms, "limit": operation.limit}
    cursor.execute(QUERIES["postpone_queue"], {"until_ms": operation.until_ms})
    cursor.execute(QUERIES["postpone_running"], values)
    moved = cursor.connection.changes()
    cursor.execute(QUERIES["postpone_waiting"], {**values, "limit": operation.limit - moved})
    return moved + cursor.connection.changes()
