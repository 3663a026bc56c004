"""Brings a database's schema up to this code, by numbered ``.sql`` files.

A migration runs in one transaction with the new number in ``PRAGMA user_version``: it is there
entirely or not at all.
"""

from contextlib import closing
from functools import cache

import apsw

from inferry.server.store import StoreError
from inferry.server.store.migrations import Migration


def migrate(db: apsw.Connection, migrations: tuple[Migration, ...]) -> None:
    """Runs the migrations that a database has not seen.

    Raises:
        StoreError: The database is newer than the code, of a version that was never released, or
            not a store.
        apsw.Error: A migration failed; the database is as the one before it left it.
    """
    version = db.pragma("user_version")
    if version > len(migrations):
        raise StoreError(
            f"{db.filename} has schema {version}, this version of Inferry knows schemas up to "
            f"{len(migrations)}: run the newer version that wrote it"
        )
    if version == 0 and db.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise StoreError(f"{db.filename} is a database of something else")
    for step in migrations[version:]:
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(step.sql)
            db.pragma("user_version", step.number)
            db.execute("COMMIT")
        except apsw.Error:
            # A full disk has ended it by itself.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    if version and not _released(db, migrations):
        raise StoreError(
            f"{db.filename} has tables of a version that was never released: move it away, or run "
            "the version that wrote it"
        )


def _released(db: apsw.Connection, migrations: tuple[Migration, ...]) -> bool:
    """Whether a database has what the migrations make; it may have more tables."""
    wanted = _made_by(migrations)
    names = {name for _, name, *_ in wanted}
    return {row for row in _columns(db) if row[1] in names} == wanted


@cache
def _made_by(migrations: tuple[Migration, ...]) -> frozenset[tuple[object, ...]]:
    """Lists what migrations make; a process that opens many stores has them run for that once."""
    with closing(apsw.Connection(":memory:")) as fresh:
        for step in migrations:
            fresh.execute(step.sql)
        return _columns(fresh)


def _columns(db: apsw.Connection) -> frozenset[tuple[object, ...]]:
    """Lists the tables and indexes with their columns, but for those of SQLite's own."""
    return frozenset(
        db.execute(
            "SELECT kept.type, kept.name, part.name, part.type FROM sqlite_schema AS kept "
            "LEFT JOIN pragma_table_xinfo(kept.name) AS part WHERE kept.name NOT LIKE 'sqlite%'"
        )
    )
