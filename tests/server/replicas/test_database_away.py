"""Replicas go on by themselves when their database was away, and nobody is taken for dead."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.backends import ACCEPTED, running_backend
from tests.postgres import PostgresServer, on, postgres_server
from tests.server.replicas.crowd import LEASE_MS, Crowd, crowd
from tests.server.replicas.test_servers_shared import seen


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
async def many(server: PostgresServer, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(server.url, tmp_path) as many:
        yield many


async def test_replicas_whose_connections_are_all_terminated_go_on(
    many: Crowd, server: PostgresServer
) -> None:
    a, b = [await many.join() for _ in range(2)]
    numbers = a.number, b.number
    async with running_backend(ACCEPTED) as backend:
        await seen(a, await b.register(backend))
        await on(
            server.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'inferry%'",
        )
        for replica, other in ((a, b), (b, a)):
            task = await replica.create()
            job = await backend.next_job()
            await backend.report(job, status="COMPLETED", result=1)
            assert (await other.task(task["id"], wait_s=10))["status"] == "COMPLETED"
    assert (a.number, b.number) == numbers


async def test_a_database_that_was_away_for_longer_than_a_lease_kills_nobody(
    many: Crowd, server: PostgresServer
) -> None:
    a, b = [await many.join() for _ in range(2)]
    numbers = a.number, b.number
    async with running_backend(ACCEPTED) as backend:
        await seen(a, await b.register(backend))
        task = await a.create()
        job = await backend.next_job()
        server.stop()
        await asyncio.sleep(1.5 * LEASE_MS / 1_000)
        server.start()
        for replica in (a, b):
            await replica.eventually("/health", lambda body: body.get("status") == "healthy")
        status, _ = await backend.report(job, status="COMPLETED", result=1)
        assert status == 200
        for replica in (a, b):
            assert (await replica.task(task["id"], wait_s=5))["status"] == "COMPLETED"
            await replica.create()
            await backend.next_job()
    assert (a.number, b.number) == numbers
