"""What commands print as JSON is what the REST interface answers."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.cli.real import Inferry
from tests.processes import GatewayProcess, MockProcess

TYPE = "test-processing"


@pytest.fixture
async def rest(gateway_process: GatewayProcess) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {gateway_process.token}"}
    async with aiohttp.ClientSession(gateway_process.rest, headers=headers) as session:
        yield session


async def answer(rest: aiohttp.ClientSession, path: str) -> Any:
    async with rest.get(f"/api/{path}") as response:
        assert response.status == 200
        return await response.json()


def shape(value: Any) -> Any:
    """Tells which fields there are, at each depth."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value)


async def test_reads_are_what_rest_answers(
    inferry: Inferry, rest: aiohttp.ClientSession, mock_process: MockProcess
) -> None:
    task = await inferry.json("submit", TYPE, '{"test": 1.50}', "--sync", "--label", "job=7")
    await inferry.json("submit", TYPE, '{"end": "fail"}', "--sync")
    await inferry.json("webhooks", "create", "https://example.com/hook", "--disabled")
    same = {
        ("get", task["id"]): f"tasks/{task['id']}",
        ("list",): "tasks",
        ("list", "--limit", "1"): "tasks?pageSize=1",
        ("list", "--label", "job=7"): "tasks?labels.job=7",
        ("attempts", task["id"]): f"tasks/{task['id']}/attempts",
        ("explain", task["id"]): f"tasks/{task['id']}/explain",
        ("webhooks", "list"): "webhooks",
        ("webhooks", "deliveries", task["id"]): f"tasks/{task['id']}/deliveries",
    }
    for command, path in same.items():
        assert await inferry.json(*command) == await answer(rest, path), command
    # These tell of the time.
    alike = {("servers",): "servers", ("queue",): "queue", ("failures",): "failures"}
    for command, path in alike.items():
        shown, answered = await inferry.json(*command), await answer(rest, path)
        assert shape(shown) == shape(answered), command
        assert shown, command
    stats, figures = await inferry.json("stats"), await answer(rest, "stats")
    assert set(stats) == set(figures)


async def test_acts_are_what_rest_answers(inferry: Inferry, rest: aiohttp.ClientSession) -> None:
    acts = {
        ("pause", "t"): ("queue/pause", {"type": "t"}),
        ("unpause", "t"): ("queue/resume", {"type": "t"}),
        ("cancel", "--type", "t"): ("tasks/cancel", {"type": "t"}),
        ("retry", "--all", "--type", "t"): ("tasks/retry", {"type": "t"}),
        ("purge", "--type", "t"): ("tasks/purge", {"type": "t"}),
    }
    for command, (path, body) in acts.items():
        async with rest.post(f"/api/{path}", json=body) as response:
            answered = await response.json()
        assert shape(await inferry.json(*command)) == shape(answered), command
    created = await inferry.json("submit", "t")
    cancelled = await inferry.json("cancel", created["id"])
    async with rest.post(f"/api/tasks/{created['id']}/cancel") as response:
        assert cancelled == await response.json()
