"""Whether a database was moved here only in part."""

from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.transfer.end import MARK, half_moved


async def source_of_move(db: Connection) -> str | None:
    """Tells from where a database is being moved; None if it is whole."""
    ((marked,),) = await fetch(db, f"SELECT to_regclass('{MARK}') IS NOT NULL")
    if not marked:
        return None
    return str(await db.fetchval(f"SELECT source FROM {MARK}"))  # noqa: S608


async def refuse_half_moved(db: Connection) -> None:
    """Lets nobody open a part of a store.

    Raises:
        StoreError: It is one.
    """
    source = await source_of_move(db)
    if source is not None:
        raise half_moved(source)
