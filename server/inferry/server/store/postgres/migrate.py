"""Brings a database's schema up to this code, while other replicas run or do the same.

A migration runs in one transaction with the new number: it is there entirely or not at all. Those
who start take turns. A release adds, and the next but one drops what then nobody uses: so an older
release that still runs on the same database goes on, and may even start again. A migration that
takes away what older releases need sets ``oldest`` to the number of schemas that a release has to
know of to go on.
"""

from inferry.server.store import StoreError
from inferry.server.store.migrations import Migration
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.queries import QUERIES

#: A migration may take long, and so may those of others.
_LONG_S = 86_400

_SCHEMA = """CREATE TABLE IF NOT EXISTS inferry_schema (
    one     smallint NOT NULL PRIMARY KEY CHECK (one = 1),
    version bigint   NOT NULL,
    oldest  bigint   NOT NULL
);
INSERT INTO inferry_schema (one, version, oldest) VALUES (1, 0, 1) ON CONFLICT DO NOTHING"""


async def migrate(db: Connection, migrations: tuple[Migration, ...]) -> None:
    """Runs the migrations that a database has not seen.

    Raises:
        StoreError: The database is of a version that this code does not know enough of.
        asyncpg.PostgresError: A migration failed; the database is as the one before it left it.
    """
    while await _step(db, migrations):
        pass


async def _step(db: Connection, migrations: tuple[Migration, ...]) -> bool:
    async with db.transaction():
        # However long others migrate: that is no reason to fail.
        await db.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        await db.execute(QUERIES["lock_starts"], timeout=_LONG_S)
        await db.execute(_SCHEMA)
        ((version, oldest),) = await fetch(db, "SELECT version, oldest FROM inferry_schema")
        if oldest > len(migrations):
            raise StoreError(
                f"the database has schema {version}, this version of Inferry knows schemas up to "
                f"{len(migrations)} and would need {oldest}: run the newer version that wrote it"
            )
        if version >= len(migrations):
            return False
        step = migrations[version]
        await db.execute(step.sql, timeout=_LONG_S)
        await db.execute("UPDATE inferry_schema SET version = $1", step.number)
        return True
