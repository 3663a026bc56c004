"""What failed, in groups that can be started again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inferry.server.access.tokens import Role
from inferry.server.engine.figures import failures
from tests.backends import Backend, running_backend
from tests.gateways import Running, ShiftedClock, running_gateway, token
from tests.server.gateway.test_filters import answer, fail


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(answer) as backend:
        yield backend


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def gateway(tmp_path: Path, backend: Backend, clock: ShiftedClock) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, clock=clock) as gateway:
        await gateway.register(backend)
        yield gateway


async def groups(gateway: Running, query: str = "") -> list[dict[str, Any]]:
    status, body = await gateway.call("GET", f"/api/failures{query}")
    assert status == 200, body
    return list(body["groups"])


async def test_failures_that_are_alike_are_one_group_and_the_latest_comes_first(
    gateway: Running, clock: ShiftedClock
) -> None:
    slow = [await fail(gateway, f"gave up after {n} s", "SLOW") for n in (30, 31)]
    other = await fail(gateway, "out of memory", "FULL")
    clock.shift_ms = 3_600_000
    slow.append(await fail(gateway, "gave up after 7 s", "SLOW"))
    first, second = await groups(gateway)
    assert (first["type"], first["code"], first["count"]) == ("echo", "SLOW", 3)
    assert first["message"] == "gave up after <n> s"
    assert first["sampleTaskId"] == slow[-1]
    assert first["firstSeen"] == (await gateway.task(slow[0]))["finishedAt"]
    assert first["lastSeen"] == (await gateway.task(slow[2]))["finishedAt"]
    assert (second["code"], second["sampleTaskId"], second["count"]) == ("FULL", other, 1)
    # A plot of when they ended: two of them an hour before the last.
    assert [count for count in first["counts"] if count] == [2, 1]
    assert first["counts"][-1] == 1


async def test_a_group_is_found_counted_and_started_again_by_its_fingerprint(
    gateway: Running,
) -> None:
    for n in range(3):
        await fail(gateway, f"gave up after {n} s", "SLOW")
    other = await fail(gateway, "out of memory", "FULL")
    slow = next(one for one in await groups(gateway) if one["code"] == "SLOW")
    query = f"fingerprint={slow['fingerprint']}"
    _, counted = await gateway.call("GET", f"/api/tasks/count?{query}")
    assert counted == {"count": slow["count"], "more": False}
    await gateway.call("POST", "/api/queue/pause", {"type": "echo"})
    _, retried = await gateway.call(
        "POST", "/api/tasks/retry", {"fingerprint": slow["fingerprint"], "status": "FAILED"}
    )
    assert retried["retried"] == 3
    # What runs again has not failed.
    assert [one["sampleTaskId"] for one in await groups(gateway)] == [other]


async def test_failures_are_picked_by_time_and_type(gateway: Running, clock: ShiftedClock) -> None:
    old = await fail(gateway, "old", "X")
    clock.shift_ms = 600_000
    new = await fail(gateway, "new", "X")
    ended = (await gateway.task(new))["finishedAt"]
    before = (await gateway.task(old))["finishedAt"]
    assert [one["sampleTaskId"] for one in await groups(gateway, f"?from={ended}")] == [new]
    begun = (await gateway.task(old))["createdAt"]
    found = await groups(gateway, f"?from={begun}&to={before}")
    assert [one["sampleTaskId"] for one in found] == [old]
    assert await groups(gateway, "?type=other") == []
    assert len(await groups(gateway, "?type=echo")) == 2


async def test_more_failures_than_are_looked_at_are_said_to_be_there(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PAGE", "FAILURES_LIMIT", "GROUPS_LIMIT"):
        monkeypatch.setattr(failures, name, 2)
    for text in ("a", "b", "c"):
        await fail(gateway, text, "X")
    _, body = await gateway.call("GET", "/api/failures")
    assert [one["message"] for one in body["groups"]] == ["c", "b"]
    assert body["more"]


async def test_only_admins_see_failures_of_all(gateway: Running) -> None:
    for role in (Role.CLIENT, Role.BACKEND):
        status, body = await gateway.call("GET", "/api/failures", auth=token(role))
        assert status == 403, body


async def test_a_time_that_is_none_is_refused(gateway: Running) -> None:
    query = "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"
    status, body = await gateway.call("GET", f"/api/failures{query}")
    assert (status, body["error"]) == (400, "to: it has to be later than from")


@pytest.mark.parametrize(
    ("query", "begins"),
    [
        ("?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", "1970-01-01T00:00:00.000Z"),
        ("?from=1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("?from=9999-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", "9999-01-01T00:00:00.000Z"),
    ],
)
async def test_failures_may_be_asked_for_of_all_times(
    gateway: Running, query: str, begins: str
) -> None:
    await fail(gateway, "out of memory", "FULL")
    status, body = await gateway.call("GET", f"/api/failures{query}")
    assert (status, body["from"]) == (200, begins)
    assert [sum(group["counts"]) for group in body["groups"]] == [1] * begins.startswith("1970")
