"""A database that crashes, or hands over to its standby, loses nothing that was acknowledged."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from inferry.server.store import StoreError, TaskFilter
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Succeed
from tests.postgres import PostgresServer, on, postgres_server
from tests.server.store.samples import change, dispatched

WRITERS = 3


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


class Work:
    """Commits the whole life of one task after the other, and counts those acknowledged."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.done: list[str] = []
        self._came = asyncio.Event()

    async def run(self, names: str) -> None:
        for number in count():
            task_id = f"{names}_{number}"
            try:
                await self.store.commit([dispatched(task_id)])
                await self.store.commit([change(task_id, Succeed(b"1"))])
            except StoreError:
                continue
            self.done.append(task_id)
            self._came.set()

    async def recover(self) -> None:
        """Does what a gateway does when its store has failed."""
        while True:
            await self.store.failed.wait()
            try:
                await self.store.recover()
            except StoreError:
                continue

    async def more(self) -> None:
        """Waits until more was acknowledged that had not begun yet."""
        for _ in range(2 * WRITERS):
            self._came.clear()
            await self._came.wait()


@asynccontextmanager
async def working(url: str) -> AsyncIterator[Work]:
    store = PostgresStore(PostgresOptions(url))
    await store.open()
    work = Work(store)
    running = [asyncio.create_task(work.run(f"task_{place}")) for place in range(WRITERS)]
    running.append(asyncio.create_task(work.recover()))
    try:
        async with asyncio.timeout(120):
            yield work
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await store.close()


async def check(url: str, work: Work) -> None:
    """Looks for all that was acknowledged, and for a log without a hole."""
    store = PostgresStore(PostgresOptions(url))
    await store.open()
    found = {
        record.spec.id: record for _, record in await store.tasks(TaskFilter(), None, 1_000_000)
    }
    assert set(work.done) <= found.keys()
    assert all(found[task_id].seq == 3 for task_id in work.done)
    heads = await store.heads()
    logged = await store.logged({}, 1_000_000)
    assert logged is not None
    assert len(logged) == heads[work.store.epoch.number] == sum(one.seq for one in found.values())
    await store.close()


async def test_a_database_that_crashes_again_and_again(server: PostgresServer) -> None:
    async with working(server.url) as work:
        for how in (signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT):
            await work.more()
            server.stop(how)
            await work.store.failed.wait()
            server.start()
            await work.more()
        assert not work.store.failed.is_set()
    await check(server.url, work)


async def test_a_database_that_hands_over_to_its_standby(server: PostgresServer) -> None:
    with postgres_server(follows=server) as standby:
        set_: Callable[[str], str] = "ALTER SYSTEM SET synchronous_standby_names = '{}'".format
        await on(server.url, set_("*"))
        await on(server.url, "SELECT pg_reload_conf()")
        hosts = f"127.0.0.1:{server.port},127.0.0.1:{standby.port}"
        url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=primary"
        async with working(url) as work:
            await work.more()
            server.stop(signal.SIGQUIT)
            await on(standby.url, "SELECT pg_promote(FALSE)")
            await work.more()
        await check(standby.url, work)
