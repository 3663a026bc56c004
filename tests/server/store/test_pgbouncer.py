"""Behind a PgBouncer that pools transactions the store keeps all that it promises."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from inferry.server.errors import UnavailableError
from inferry.server.store import Store, TaskFilter
from inferry.server.store.postgres.end import PostgresEnd
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.store.sqlite.end import SqliteEnd
from inferry.server.store.transfer.move import move, open_ends
from inferry.server.task.inputs import Accept, Progress
from tests.pgbouncer import PROGRAM, pgbouncer
from tests.postgres import on
from tests.server.store.conformance import StoreConformance
from tests.server.store.opening import opened
from tests.server.store.samples import change, dispatched, do, record_of

pytestmark = pytest.mark.skipif(
    PROGRAM is None and os.environ.get("CI") != "true", reason="no PgBouncer is installed"
)


@pytest.fixture(scope="module")
def bouncer(shared_database: str) -> Iterator[str]:
    # Fewer sessions than the store has connections: nothing can be kept in one.
    with pgbouncer(shared_database, sessions=2) as url:
        yield url


@pytest.fixture
async def store(bouncer: str, postgres_url: str) -> AsyncIterator[PostgresStore]:
    options = PostgresOptions(bouncer, lock_timeout_ms=300, pgbouncer=True)
    store = PostgresStore(options)
    await store.open()
    yield store
    await store.close()


class TestStore(StoreConformance):
    """All of it."""


async def test_reads_and_commits_of_many_at_once_meet_in_few_sessions(
    bouncer: str, store: Store
) -> None:
    other = PostgresStore(PostgresOptions(bouncer, pgbouncer=True))
    await other.open()
    ids = [f"task_{number}" for number in range(20)]
    await do(store, *map(dispatched, ids))

    async def report(one: Store, task_id: str) -> None:
        for _ in range(5):
            await do(one, change(task_id, Progress(1.0)))
            assert (await record_of(one, task_id)).spec.id == task_id
            await one.events(task_id, 0, 10)

    await asyncio.gather(*(report(one, task_id) for task_id in ids for one in (store, other)))
    assert {record.seq for _, record in await store.tasks(TaskFilter(), None, 100)} == {12}
    await other.close()


async def test_its_transactions_wait_for_a_lock_no_longer_than_they_may(
    postgres_url: str, store: PostgresStore
) -> None:
    await do(store, dispatched("task_1"))
    stranger = await asyncpg.connect(postgres_url)
    try:
        async with stranger.transaction():
            await stranger.execute("SELECT 1 FROM tasks FOR UPDATE")
            (refused,) = await store.commit([change("task_1", Accept())])
            assert isinstance(refused, UnavailableError)
    finally:
        await stranger.close()
    await do(store, change("task_1", Accept()))


async def test_a_session_keeps_no_setting_of_the_store(bouncer: str, store: PostgresStore) -> None:
    await do(store, dispatched("task_1"))
    for _ in range(4):
        ((timeout,),) = await on(bouncer, "SHOW lock_timeout")
        assert timeout == "0"


async def test_a_store_is_moved_in_and_out(bouncer: str, postgres_url: str, tmp_path: Path) -> None:
    async with opened(tmp_path / "one.db") as file:
        await do(file, *(dispatched(f"task_{number}", labels=b"{}") for number in range(2_500)))
    options = PostgresOptions(bouncer, pgbouncer=True)
    for source, target in (
        (SqliteEnd(tmp_path / "one.db"), PostgresEnd(options)),
        (PostgresEnd(options), SqliteEnd(tmp_path / "other.db")),
    ):
        await open_ends(source, target, wait=False)
        compared = await move(source, target, lambda _step: None)
        await target.close()
        await source.close()
        assert all(one.same for one in compared)
        assert {one.target.rows for one in compared if one.table == "tasks"} == {2_500}
    assert await on(postgres_url, "SELECT 1 FROM tasks LIMIT 1")
