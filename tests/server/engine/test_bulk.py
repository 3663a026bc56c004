"""Tasks that ended badly are started again, many at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inferry.server.access.tokens import Role
from tests.backends import ACCEPTED, Backend, running_backend, say
from tests.gateways import Running, running_gateway, token


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(say({"status": "error", "error": "no", "code": "BROKEN"})) as found:
        yield found


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, queue_limit=8) as gateway:
        yield gateway


async def fail(gateway: Running, backend: Backend, count: int) -> list[str]:
    """Makes failed tasks; afterwards no server takes them."""
    server_id = await gateway.register(backend)
    made = [(await gateway.create(**{"async": False}))["id"] for _ in range(count)]
    await gateway.call("POST", f"/api/servers/{server_id}/drain")
    return made


async def retry(gateway: Running, **said: object) -> dict[str, Any]:
    status, body = await gateway.call("POST", "/api/tasks/retry", said)
    assert status == 200, body
    return dict(body)


async def statuses(gateway: Running, ids: list[str]) -> list[str]:
    return [(await gateway.task(task_id))["status"] for task_id in ids]


async def test_failed_tasks_are_started_again(gateway: Running, backend: Backend) -> None:
    made = await fail(gateway, backend, 3)
    done = await retry(gateway)
    assert (done["retried"], done["queueFull"]) == (3, False)
    assert "nextPageToken" not in done
    assert await statuses(gateway, made) == ["PENDING"] * 3


async def test_a_page_goes_on_where_the_last_one_stopped(
    gateway: Running, backend: Backend
) -> None:
    made = await fail(gateway, backend, 5)
    first = await retry(gateway, limit=2)
    assert await statuses(gateway, made) == ["FAILED"] * 3 + ["PENDING"] * 2
    second = await retry(gateway, limit=10, pageToken=first["nextPageToken"])
    assert (first["retried"], second["retried"]) == (2, 3)


async def test_only_what_matches_is_started_again(gateway: Running, backend: Backend) -> None:
    made = await fail(gateway, backend, 1)
    for other in ({"code": "ODD"}, {"type": "odd"}, {"status": "TIMEOUT"}, {"serverId": "srv_0"}):
        assert (await retry(gateway, **other))["retried"] == 0
    matching = {"code": "BROKEN", "type": "echo", "status": "FAILED"}
    assert (await retry(gateway, **matching))["retried"] == 1
    assert await statuses(gateway, made) == ["PENDING"]


async def test_it_stops_when_the_queue_is_full_and_nothing_is_lost(
    gateway: Running, backend: Backend
) -> None:
    await fail(gateway, backend, 2)
    waiting = [await gateway.create() for _ in range(8)]
    full = await retry(gateway)
    assert (full["retried"], full["queueFull"]) == (0, True)
    for task in waiting:
        await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    assert (await retry(gateway))["retried"] == 2


async def test_another_tenants_tasks_are_left_alone(gateway: Running, backend: Backend) -> None:
    made = await fail(gateway, backend, 1)
    other = token(Role.CLIENT, tenant="other")
    _, body = await gateway.call("POST", "/api/tasks/retry", {}, auth=other)
    assert body["retried"] == 0
    assert await statuses(gateway, made) == ["FAILED"]


@pytest.mark.parametrize("said", [{"status": "COMPLETED"}, {"limit": 1_001}, {"limit": -1}])
async def test_what_cannot_be_retried_is_refused(gateway: Running, said: dict[str, Any]) -> None:
    status, body = await gateway.call("POST", "/api/tasks/retry", said)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")


async def cancel(gateway: Running, auth: str | None = None, **said: Any) -> dict[str, Any]:
    status, body = await gateway.call("POST", "/api/tasks/cancel", said, auth)
    assert status == 200, body
    return dict(body)


async def test_tasks_that_are_not_final_are_cancelled_newest_first(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend, maxConcurrent=2)
    made = [(await gateway.create())["id"] for _ in range(5)]
    for task_id in made[:2]:
        await gateway.eventually(f"/api/tasks/{task_id}", lambda one: one["status"] != "PENDING")
    first = await cancel(gateway, type="echo", limit=2, reason="superseded")
    assert await statuses(gateway, made) == ["PROCESSING"] * 2 + ["PENDING"] + ["CANCELLED"] * 2
    rest = await cancel(gateway, type="echo", pageToken=first["nextPageToken"])
    assert (first["cancelled"], rest["cancelled"], "nextPageToken" in rest) == (2, 3, False)
    assert await statuses(gateway, made) == ["CANCELLED"] * 5
    assert (await gateway.task(made[4]))["error"] == "superseded"
    assert (await cancel(gateway, type="echo"))["cancelled"] == 0


async def test_only_what_matches_is_cancelled(gateway: Running, backend: Backend) -> None:
    backend.answer = ACCEPTED
    server_id = await gateway.register(backend, maxConcurrent=1)
    running = (await gateway.create())["id"]
    await gateway.eventually(f"/api/tasks/{running}", lambda one: one["status"] == "PROCESSING")
    labels = {"job": "7", "team": "a"}
    made = [(await gateway.create(labels=one))["id"] for one in (labels, {"job": "7"}, {})]
    for other in ({"type": "odd"}, {"serverId": "srv_0"}, {"labels": {"job": "8"}}):
        assert (await cancel(gateway, **other))["cancelled"] == 0
    assert (await cancel(gateway, labels=labels))["cancelled"] == 1
    assert (await cancel(gateway, serverId=server_id))["cancelled"] == 1
    assert await statuses(gateway, [running, made[0]]) == ["CANCELLED"] * 2
    assert (await cancel(gateway, labels={"job": "7"}))["cancelled"] == 1
    assert (await gateway.task(made[1]))["status"] == "CANCELLED"
    assert (await gateway.task(made[2]))["status"] in {"PENDING", "PROCESSING"}


async def test_nobody_cancels_another_tenants_tasks(gateway: Running) -> None:
    made = (await gateway.create())["id"]
    other = token(Role.CLIENT, tenant="other")
    assert (await cancel(gateway, other, type="echo"))["cancelled"] == 0
    assert await statuses(gateway, [made]) == ["PENDING"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"limit": 5, "reason": "all of them"},
        {"status": "COMPLETED"},
        {"type": "echo", "limit": 1_001},
        {"labels": {str(number): "" for number in range(9)}},
        {"type": "echo", "reason": "x" * 4_097},
    ],
)
async def test_what_cannot_be_cancelled_is_refused(gateway: Running, said: dict[str, Any]) -> None:
    status, body = await gateway.call("POST", "/api/tasks/cancel", said)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")


async def test_tasks_are_listed_and_started_again_by_their_labels(gateway: Running) -> None:
    labels = {"job": "7", "team": "a"}
    made = [(await gateway.create(labels=one))["id"] for one in (labels, {"job": "7"}, {})]

    async def listed(query: str) -> list[str]:
        status, page = await gateway.call("GET", f"/api/tasks?{query}")
        assert status == 200, page
        return [task["id"] for task in page["tasks"]]

    assert await listed("labels.job=7") == [made[1], made[0]]
    assert await listed("labels.job=7&labels.team=a&status=PENDING") == [made[0]]
    assert await listed("labels.job=8") == []
    await cancel(gateway, status="PENDING")
    _, body = await gateway.call(
        "POST", "/api/tasks/retry", {"status": "CANCELLED", "labels": {"team": "a"}}
    )
    assert body["retried"] == 1
    assert await statuses(gateway, made) == ["PENDING", "CANCELLED", "CANCELLED"]
    for wrong in ("labels=7", "labels.=7", "labels.job=7&labels.job=8", "type.a=b"):
        status, body = await gateway.call("GET", f"/api/tasks?{wrong}")
        assert (status, body["code"]) == (400, "INVALID_PAYLOAD"), wrong


async def purge(gateway: Running, auth: str | None = None, **said: Any) -> dict[str, Any]:
    status, body = await gateway.call("POST", "/api/tasks/purge", said, auth)
    assert status == 200, body
    return dict(body)


async def listed(gateway: Running) -> list[str]:
    _, body = await gateway.call("GET", "/api/tasks")
    return [task["id"] for task in body["tasks"]]


async def test_final_tasks_are_dropped_for_good_and_open_ones_stay(
    gateway: Running, backend: Backend
) -> None:
    failed = await fail(gateway, backend, 3)
    waits = (await gateway.create())["id"]
    counted = await purge(gateway, type="echo", dryRun=True)
    assert (counted["purged"], counted["matched"]) == (0, 3)
    assert await listed(gateway) == [waits, *reversed(failed)]
    assert (await purge(gateway, type="echo"))["purged"] == 3
    assert await listed(gateway) == [waits]
    status, body = await gateway.call("GET", f"/api/tasks/{failed[0]}")
    assert (status, body["code"]) == (410, "GONE")
    assert (await purge(gateway, type="echo"))["purged"] == 0


async def test_only_what_matches_is_dropped_page_by_page(
    gateway: Running, backend: Backend
) -> None:
    failed = await fail(gateway, backend, 3)
    await gateway.call("DELETE", f"/api/tasks/{(await gateway.create(labels={'a': 'b'}))['id']}")
    before = "2020-01-01T00:00:00Z"
    for other in ({"code": "ODD"}, {"status": "TIMEOUT"}, {"finishedBefore": before}):
        assert (await purge(gateway, **other))["purged"] == 0
    assert (await purge(gateway, labels={"a": "b"}, status="CANCELLED"))["purged"] == 1
    first = await purge(gateway, code="BROKEN", limit=2)
    assert await listed(gateway) == failed[:1]
    later = "2100-01-01T00:00:00Z"
    token = first["nextPageToken"]
    rest = await purge(gateway, code="BROKEN", finishedBefore=later, pageToken=token)
    assert (first["purged"], rest["purged"], await listed(gateway)) == (2, 1, [])


@pytest.mark.parametrize(
    "before", ["1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z"]
)
async def test_no_task_ended_before_the_first_time_there_is(
    gateway: Running, backend: Backend, before: str
) -> None:
    failed = await fail(gateway, backend, 1)
    for dry_run in (True, False):
        assert (await purge(gateway, finishedBefore=before, dryRun=dry_run))["matched"] == 0
    assert await listed(gateway) == failed


async def test_another_tenants_tasks_are_not_dropped(gateway: Running, backend: Backend) -> None:
    failed = await fail(gateway, backend, 1)
    other = token(Role.CLIENT, tenant="other")
    assert (await purge(gateway, other, status="FAILED"))["purged"] == 0
    assert await listed(gateway) == failed


@pytest.mark.parametrize("said", [{}, {"dryRun": True}, {"status": "PENDING"}, {"limit": 5}])
async def test_nothing_is_dropped_unless_it_is_said_what(
    gateway: Running, said: dict[str, Any]
) -> None:
    status, body = await gateway.call("POST", "/api/tasks/purge", said)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
