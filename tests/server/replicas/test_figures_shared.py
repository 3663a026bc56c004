"""A sum over what replicas tell of themselves is true."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.backends import ACCEPTED, running_backend
from tests.gateways import token
from tests.server.replicas.crowd import Crowd, Replica, crowd
from tests.server.replicas.test_servers_shared import seen

Told = dict[str, float]


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


async def told(replica: Replica) -> Told:
    """Reads what a replica tells of ``echo`` and of servers, by series."""
    headers = {"Authorization": f"Bearer {token()}"}
    async with replica.http.get(f"{replica.url}/metrics", headers=headers) as response:
        text = await response.text()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("type", "echo") == "echo" and "status" not in sample.labels
    }


async def test_of_two_replicas_one_tells_what_both_share_and_the_owner_of_its_servers(
    many: Crowd,
) -> None:
    a, b = [await many.join() for _ in range(2)]
    async with running_backend(ACCEPTED) as backend:
        await seen(a, await b.register(backend, maxConcurrent=1))
        tasks = [await (a, b)[number % 2].create() for number in range(3)]
        await backend.next_job()
        for task in tasks:
            await a.eventually(f"/api/tasks/{task['id']}", lambda body: "id" in body)
        both = [await told(a), await told(b)]
    shared = ("waiting", "delayed", "running")
    for series in (*(f"inferry_tasks_{one}" for one in shared), "inferry_store_bytes"):
        assert sum(series in one for one in both) == 1, series
    assert sum(one.get("inferry_tasks_running", 0) for one in both) == 1
    assert sum(one.get("inferry_tasks_waiting", 0) for one in both) == 2
    assert sum(one["inferry_tasks_created_total"] for one in both) == 3
    assert sum("inferry_server_slots" in one for one in both) == 1
    assert sum(one.get("inferry_server_slots_used", 0) for one in both) == 1


async def test_when_the_one_that_tells_is_gone_another_does(many: Crowd) -> None:
    a, stack = await many.start()
    b = await many.join()
    assert "inferry_store_bytes" in await told(a)
    assert "inferry_store_bytes" not in await told(b)
    await stack.aclose()
    while "inferry_store_bytes" not in await told(b):
        await b.eventually("/health", lambda body: body["status"] == "healthy")
