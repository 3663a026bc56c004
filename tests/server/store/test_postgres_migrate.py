"""Schemas of PostgreSQL: made step by step, by one of many, while older releases go on."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from inferry.server.store import StoreError
from inferry.server.store.migrations import Migration, load_migrations
from inferry.server.store.postgres.connections import connect
from inferry.server.store.postgres.migrate import migrate
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import FOLDER
from inferry.server.store.postgres.store import PostgresStore
from tests.postgres import database

RELEASED = load_migrations(FOLDER)
NEXT = len(RELEASED) + 1
ADDS = Migration(NEXT, "notes", "CREATE TABLE notes (a int); ALTER TABLE tasks ADD COLUMN b int")
DROPS = Migration(
    NEXT + 1, "fewer", f"ALTER TABLE tasks DROP COLUMN b; UPDATE inferry_schema SET oldest = {NEXT}"
)
SCHEMA = """
SELECT table_name, column_name, data_type, column_default, is_nullable
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""
CHECKS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
ORDER BY 1, 2
"""


@pytest.fixture
async def url(postgres: str) -> AsyncIterator[str]:
    async with database(postgres) as url:
        yield url


async def step_up(url: str, *migrations: Migration) -> list[object]:
    """Migrates as a release would that knows these; gives the schema then."""
    db = await connect(PostgresOptions(url), "test")
    try:
        await migrate(db, migrations)
        ((version,),) = await db.fetch("SELECT version FROM inferry_schema")
        return [version, *await db.fetch(SCHEMA), *await db.fetch(CHECKS)]
    finally:
        await db.close()


async def test_a_migrated_database_equals_a_fresh_one(postgres: str, url: str) -> None:
    known: list[Migration] = []
    for step in (*RELEASED, ADDS, DROPS):
        known.append(step)
        reached = await step_up(url, *known)
    async with database(postgres) as fresh:
        assert await step_up(fresh, *known) == reached
    assert reached[0] == NEXT + 1


async def test_an_older_release_goes_on_after_what_was_added_and_not_after_what_was_dropped(
    url: str,
) -> None:
    await step_up(url, *RELEASED, ADDS)
    assert (await step_up(url, *RELEASED))[0] == NEXT
    await step_up(url, *RELEASED, ADDS, DROPS)
    await step_up(url, *RELEASED, ADDS)
    with pytest.raises(StoreError, match=f"has schema {NEXT + 1}, .* up to {NEXT - 1} .*{NEXT}"):
        await step_up(url, *RELEASED)


async def test_a_store_that_is_too_new_says_so_when_it_is_opened(url: str) -> None:
    await step_up(url, *RELEASED, ADDS, DROPS)
    with pytest.raises(StoreError, match=f"cannot open the store .*: .* has schema {NEXT + 1}"):
        await PostgresStore(PostgresOptions(url)).open()


async def test_a_failed_migration_leaves_the_last_good_schema(url: str) -> None:
    before = await step_up(url, *RELEASED)
    broken = Migration(NEXT, "broken", "CREATE TABLE notes (a int); SELECT nonsense")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await step_up(url, *RELEASED, broken)
    assert await step_up(url, *RELEASED) == before


async def test_many_who_migrate_at_once_do_each_step_once(url: str) -> None:
    reached = await asyncio.gather(*(step_up(url, *RELEASED, ADDS, DROPS) for _ in range(5)))
    assert [one[0] for one in reached] == [NEXT + 1] * 5


async def test_a_database_with_tables_of_the_same_names_is_refused(url: str) -> None:
    stranger = await asyncpg.connect(url)
    await stranger.execute("CREATE TABLE tasks (id int)")
    with pytest.raises(asyncpg.DuplicateTableError, match='"tasks" already exists'):
        await step_up(url, *RELEASED)
    assert await stranger.fetchval("SELECT to_regclass('events')") is None
    await stranger.close()
