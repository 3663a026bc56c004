"""Which tasks a list, a count, a retry and a cancel mean."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from inferry.server.access.tokens import Role
from inferry.server.engine import listing
from inferry.server.figures.failures import fingerprint_of
from tests.backends import Backend, Job, running_backend, say
from tests.gateways import Running, ShiftedClock, running_gateway, token

WATCH = "/api/watch?tenant=acme"


async def answer(job: Job) -> web.StreamResponse:
    """Fails as the payload says."""
    return await say({"status": "error", **job["payload"]})(job)


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


async def fail(gateway: Running, error: str, code: str) -> str:
    said: dict[str, Any] = {"payload": {"error": error, "code": code}, "async": False}
    return str((await gateway.create(**said))["id"])


async def listed(gateway: Running, query: str, auth: str | None = None) -> list[str]:
    """Lists all pages; newest first."""
    found, more = [], ""
    while True:
        status, page = await gateway.call(
            "GET", f"/api/tasks?{query}&pageSize=2&pageToken={more}", auth=auth
        )
        assert status == 200, page
        found += [task["id"] for task in page["tasks"]]
        more = page.get("nextPageToken", "")
        if not more:
            break
    status, counted = await gateway.call("GET", f"/api/tasks/count?{query}", auth=auth)
    # Whatever a list shows is counted.
    assert (status, counted) == (200, {"count": len(found), "more": False})
    return found


async def test_tasks_are_found_by_their_code(gateway: Running) -> None:
    broken = [await fail(gateway, "no", "BROKEN") for _ in range(3)]
    full = await fail(gateway, "no", "FULL")
    assert await listed(gateway, "code=BROKEN") == broken[::-1]
    assert await listed(gateway, "code=FULL&status=FAILED&type=echo") == [full]
    assert await listed(gateway, "code=FULL&status=TIMEOUT") == []


async def test_tasks_are_found_by_what_their_failures_have_in_common(gateway: Running) -> None:
    slow = [await fail(gateway, f"gave up after {n} s", "SLOW") for n in (30, 31, 45)]
    await fail(gateway, "gave up at once", "SLOW")
    await gateway.create(type="other")
    fingerprint = fingerprint_of("echo", "SLOW", "gave up after 1 s")
    assert await listed(gateway, f"fingerprint={fingerprint}") == slow[::-1]
    assert await listed(gateway, f"fingerprint={fingerprint}&code=SLOW") == slow[::-1]
    assert await listed(gateway, f"fingerprint={'0' * 16}") == []


async def test_tasks_are_found_by_when_they_were_created_and_ended(
    gateway: Running, clock: ShiftedClock
) -> None:
    waits = await gateway.create(type="other", queueTimeout=86_400_000)
    first = await fail(gateway, "no", "X")
    clock.shift_ms = 600_000
    second = await fail(gateway, "no", "X")
    since = (await gateway.task(second))["createdAt"]
    assert await listed(gateway, f"createdSince={since}") == [second]
    assert await listed(gateway, f"finishedSince={since}") == [second]
    # What has not ended has not ended since any time.
    for earliest in ("1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
        assert await listed(gateway, f"finishedSince={earliest}") == [second, first]
    await gateway.call("DELETE", f"/api/tasks/{waits['id']}")
    assert await listed(gateway, f"finishedSince={since}") == [second, waits["id"]]
    assert await listed(gateway, f"createdSince={waits['createdAt']}") == [
        second,
        first,
        waits["id"],
    ]


async def test_an_admin_may_ask_for_one_tenant_and_others_for_their_own(
    gateway: Running,
) -> None:
    globex = token(Role.CLIENT, tenant="globex")
    status, theirs = await gateway.call("POST", "/api/tasks", {"type": "t"}, auth=globex)
    assert status == 202
    ours = await gateway.create(type="t")
    assert await listed(gateway, "tenant=globex") == [theirs["id"]]
    assert await listed(gateway, "tenant=acme&type=t") == [ours["id"]]
    assert await listed(gateway, "tenant=globex", globex) == [theirs["id"]]
    for path in ("/api/tasks?tenant=acme", "/api/tasks/count?tenant=acme", WATCH):
        status, body = await gateway.call("GET", path, auth=globex)
        assert (status, body["code"]) == (403, "PERMISSION_DENIED")
    for path in ("/api/tasks/retry", "/api/tasks/cancel"):
        status, body = await gateway.call("POST", path, {"tenant": "acme"}, auth=globex)
        assert (status, body["code"]) == (403, "PERMISSION_DENIED")


async def test_a_retry_takes_what_a_list_of_failures_shows(
    gateway: Running, backend: Backend, clock: ShiftedClock
) -> None:
    old = await fail(gateway, "gave up after 1 s", "SLOW")
    clock.shift_ms = 600_000
    new = await fail(gateway, "gave up after 2 s", "SLOW")
    other = await fail(gateway, "out of memory", "SLOW")
    for server in (await gateway.call("GET", "/api/servers"))[1]["servers"]:
        await gateway.call("POST", f"/api/servers/{server['id']}/drain")
    said = {
        "fingerprint": fingerprint_of("echo", "SLOW", "gave up after 1 s"),
        "code": "SLOW",
        "tenant": "acme",
        "finishedSince": (await gateway.task(new))["createdAt"],
    }
    status, body = await gateway.call("POST", "/api/tasks/retry", said)
    assert (status, body["retried"]) == (200, 1)
    states = [(await gateway.task(task_id))["status"] for task_id in (old, new, other)]
    assert states == ["FAILED", "PENDING", "FAILED"]


async def test_a_cancel_takes_one_tenant_and_what_is_new(
    gateway: Running, clock: ShiftedClock
) -> None:
    old = await gateway.create(type="other", queueTimeout=86_400_000)
    clock.shift_ms = 600_000
    new = await gateway.create(type="other")
    said: dict[str, object] = {"createdSince": new["createdAt"], "tenant": "globex"}
    status, body = await gateway.call("POST", "/api/tasks/cancel", said)
    assert (status, body["cancelled"]) == (200, 0)
    del said["tenant"]
    status, body = await gateway.call("POST", "/api/tasks/cancel", said)
    assert (status, body["cancelled"]) == (200, 1)
    assert (await gateway.task(old["id"]))["status"] == "PENDING"


async def test_who_looks_through_many_tasks_goes_on_page_by_page(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCAN_STEP", 2)
    monkeypatch.setattr(listing, "SCAN_LIMIT", 4)
    wanted = await fail(gateway, "gave up after 1 s", "SLOW")
    for _ in range(9):
        await fail(gateway, "other", "SLOW")
    query = f"fingerprint={fingerprint_of('echo', 'SLOW', 'gave up after 1 s')}"
    pages, more = [], ""
    while True:
        _, page = await gateway.call("GET", f"/api/tasks?{query}&pageToken={more}")
        pages.append([task["id"] for task in page["tasks"]])
        more = page.get("nextPageToken", "")
        if not more:
            break
    assert pages == [[], [], [wanted]]
    assert (await gateway.call("GET", f"/api/tasks/count?{query}"))[1] == {"count": 0, "more": True}
    # Without it the store counts.
    assert (await gateway.call("GET", "/api/tasks/count"))[1] == {"count": 4, "more": True}


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/count"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("fingerprint=xyz", "fingerprint: 'xyz'; right is 16 hexadecimal digits"),
        ("createdSince=yesterday", "createdSince"),
        ("status=LOST", "status"),
    ],
)
async def test_a_filter_that_is_none_is_refused(
    gateway: Running, path: str, query: str, said: str
) -> None:
    status, body = await gateway.call("GET", f"{path}?{query}")
    assert status == 400
    assert said in body["error"]


async def test_an_admin_may_watch_one_tenant(gateway: Running) -> None:
    globex = token(Role.CLIENT, tenant="globex")
    await gateway.create(type="t")
    _, theirs = await gateway.call("POST", "/api/tasks", {"type": "t"}, auth=globex)
    headers = {"Authorization": f"Bearer {token()}"}
    url = f"{gateway.url}/api/watch?tenant=globex"
    async with gateway.http.get(url, headers=headers) as response:
        async for line in response.content:
            if line.startswith(b"data:"):
                told = orjson.loads(line[5:])
                break
    assert [task["id"] for task in told["tasks"]] == [theirs["id"]]
