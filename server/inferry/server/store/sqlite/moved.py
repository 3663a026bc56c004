"""Whether a database was moved here only in part."""

import apsw

from inferry.server.store.transfer.end import MARK, half_moved


def source_of_move(db: apsw.Connection) -> str | None:
    """Tells from where a database is being moved; None if it is whole."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (MARK,)).get is None:
        return None
    return str(db.execute(f"SELECT source FROM {MARK}").get)  # noqa: S608


def refuse_half_moved(db: apsw.Connection) -> None:
    """Lets nobody open a part of a store.

    Raises:
        StoreError: It is one.
    """
    source = source_of_move(db)
    if source is not None:
        raise half_moved(source)
