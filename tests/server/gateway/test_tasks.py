"""What happens to tasks, against a whole gateway and real HTTP backends."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
import structlog
from aiohttp import web

from inferry.server.access.tokens import Role
from tests.backends import ACCEPTED, SUCCESS, Backend, Job, running_backend, say
from tests.gateways import Running, running_gateway, token


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, grace_ms=0) as running:
        yield running


class Gate:
    """Holds every answer back until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, _job: Job) -> web.StreamResponse:
        await self.open.wait()
        return web.json_response({"status": "success", "result": 1})


async def test_a_task_without_a_server_waits_and_starts_when_one_registers(
    gateway: Running, backend: Backend
) -> None:
    task = await gateway.create()
    assert task["status"] == "PENDING"
    assert "serverId" not in task
    server_id = await gateway.register(backend)
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["serverId"]) == ("COMPLETED", server_id)


async def test_a_task_waits_for_a_server_with_all_its_capabilities(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend, capabilities=["echo", "gpu"])
    picky = await gateway.create(capabilities=["hd", "gpu"])
    async with running_backend() as other:
        wanted = await gateway.register(other, name="hd", capabilities=["hd", "echo", "gpu"])
        done = await gateway.task(picky["id"], wait_s=10)
    assert (done["status"], done["serverId"]) == ("COMPLETED", wanted)
    assert backend.history == []


async def test_a_slot_is_held_until_the_attempt_ends_and_then_given_to_the_next(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend, maxConcurrent=1)
    first, second = await gateway.create(), await gateway.create()
    job = await backend.next_job()
    assert job["id"] == first["id"]
    await gateway.eventually(
        f"/api/tasks/{first['id']}", lambda task: task["status"] == "PROCESSING"
    )
    assert (await gateway.task(second["id"]))["attempt"] == 0
    await backend.report(job, status="COMPLETED")
    assert (await backend.next_job())["id"] == second["id"]


async def test_the_queue_goes_by_priority_and_then_by_age(
    gateway: Running, backend: Backend
) -> None:
    tasks = [await gateway.create(priority=priority) for priority in (0, 5, 9, 5)]
    await gateway.register(backend, maxConcurrent=1)
    order = [(await backend.next_job())["id"] for _ in tasks]
    assert order == [tasks[index]["id"] for index in (2, 1, 3, 0)]


async def test_tasks_go_to_the_least_loaded_server(gateway: Running, backend: Backend) -> None:
    gate = Gate()
    async with running_backend(gate) as other:
        backend.answer = gate
        ids = {
            await gateway.register(backend, name=one.url, url=one.url) for one in (backend, other)
        }
        assert len(ids) == 2
        # Tasks that wait inside a server are load, too: both have said how many these are.
        for server_id in ids:
            await gateway.probed(server_id)
        for _ in range(6):
            await gateway.create()
        for one in (backend, other):
            for _ in range(3):
                await one.next_job()
        gate.open.set()


async def test_a_delayed_task_is_not_dispatched_before_its_time(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    task = await gateway.create(delayMs=300)
    assert task["notBefore"] > task["createdAt"]
    done = await gateway.task(task["id"], wait_s=10)
    assert done["status"] == "COMPLETED"
    assert done["startedAt"] >= task["notBefore"]


async def test_a_task_that_no_server_takes_in_time_ends_in_timeout(gateway: Running) -> None:
    task = await gateway.create(queueTimeout=50)
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["code"]) == ("TIMEOUT", "TIMEOUT")
    assert done["details"] == {"phase": "queue"}


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_server_that_never_answers_ends_in_timeout(
    gateway: Running, backend: Backend, asynchronous: bool
) -> None:
    backend.answer = Gate()
    await gateway.register(backend)
    task = await gateway.create(timeout=100, **{"async": asynchronous})
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["details"]) == ("TIMEOUT", {"phase": "attempt"})


async def test_a_server_that_accepts_and_never_reports_ends_in_timeout(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create(timeout=100)
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["details"]) == ("TIMEOUT", {"phase": "attempt"})
    status, body = await backend.report(await backend.next_job(), status="PROCESSING")
    assert (status, body["cancelled"]) == (200, True)


async def test_a_result_after_the_timeout_is_kept_aside(gateway: Running, backend: Backend) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create(timeout=50)
    await gateway.task(task["id"], wait_s=10)
    job = await backend.next_job()
    for _ in range(2):
        status, body = await backend.report(job, status="COMPLETED", result={"late": True})
        assert (status, body["status"]) == (200, "TIMEOUT")
    done = await gateway.task(task["id"])
    assert (done["status"], done["lateResult"]) == ("TIMEOUT", {"late": True})
    status, body = await backend.report(job, status="COMPLETED", result={"late": False})
    assert (status, body["code"]) == (409, "ILLEGAL_TRANSITION")


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (b"<html>Bad gateway</html>", 200, "INTERNAL_ERROR", "<html>"),
        (b"", 200, "INTERNAL_ERROR", "nothing"),
        (b"", 500, "INTERNAL_ERROR", "500"),
        (b"[1, 2]", 200, "INTERNAL_ERROR", "[1, 2]"),
        ({"status": 200}, 200, "INTERNAL_ERROR", "success"),
        ({"status": "error", "error": {"why": "x"}}, 200, "INTERNAL_ERROR", "why"),
        ({"status": "error", "error": "no", "code": 7}, 400, "7", "no"),
        (b'{"status":"success","result":NaN}', 200, "INVALID_PAYLOAD", "result: no JSON"),
        (b'{"status":"success","result":"' + b"x" * 6_000_000 + b'"}', 200, "RESOURCE_LIMIT", ""),
    ],
    ids=["html", "empty", "500", "list", "type", "object", "code", "nan", "large"],
)
async def test_every_undocumented_answer_has_a_defined_end(
    gateway: Running, backend: Backend, body: object, status: int, code: str, says: str
) -> None:
    backend.answer = say(body, status)
    await gateway.register(backend)
    done = await gateway.create(**{"async": False})
    assert (done["status"], done["code"]) == ("FAILED", code)
    assert says in done["error"]


@pytest.mark.parametrize(
    ("body", "refusal", "reason"),
    [
        (b'{"status":"COMPLETED","result":NaN}', 400, "result: no JSON, at position 0"),
        (b'{"status":"COMPLETED","result":', 400, "no JSON, at position 31"),
        (b"OK", 400, "no JSON, at position 0"),
        (b'{"status":"DONE","result":1}', 400, 'status: "DONE"; right is one of PENDING'),
        (
            b'{"status":"COMPLETED","result":"%b"}' % (b"x" * 3_090_000),
            413,
            "result: 3090002 bytes",
        ),
        (b'{"status":"COMPLETED","result":"%b"}' % (b"x" * 5_000_000), 413, "the body is larger"),
    ],
    ids=["no JSON", "cut", "a word", "no status", "large", "very large"],
)
async def test_a_callback_that_is_refused_leaves_its_reason_on_the_attempt(
    gateway: Running, backend: Backend, body: bytes, refusal: int, reason: str
) -> None:
    backend.answer = say({"status": "accepted"})
    await gateway.register(backend)
    task = await gateway.create(timeout=60_000)
    job = await backend.next_job()
    for _ in range(2):
        async with gateway.http.put(job["callback_url"], data=BytesIO(body)) as response:
            assert response.status == refusal
            assert reason in (await response.json())["error"]
    path = f"/api/tasks/{task['id']}"
    (running,) = (await gateway.call("GET", f"{path}/attempts"))[1]["attempts"]
    assert (running["outcome"], reason in running["error"]) == ("RUNNING", True)
    await gateway.call("DELETE", path)
    (ended,) = (await gateway.call("GET", f"{path}/attempts"))[1]["attempts"]
    assert (ended["outcome"], reason in ended["error"]) == ("ABORTED", True)
    events = await gateway.events(task["id"])
    assert [event["kind"] for event in events].count("MISREPORTED") == 1


async def test_a_callback_whose_token_does_not_hold_leaves_nothing(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say({"status": "accepted"})
    await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    url = job["callback_url"][:-1] + ("A" if job["callback_url"][-1] != "A" else "B")
    async with gateway.http.put(url, data=b"[" * 300) as response:
        assert response.status == 401
    (running,) = (await gateway.call("GET", f"/api/tasks/{task['id']}/attempts"))[1]["attempts"]
    assert "error" not in running


async def test_a_report_on_no_task_of_ours_leaves_no_word_in_the_log(gateway: Running) -> None:
    with structlog.testing.capture_logs() as lines:
        status, _ = await gateway.call("PUT", f"/api/tasks/{'x' * 5_000}", {"status": "DONE"})
    assert status == 400
    assert not any("report refused" in line["event"] for line in lines)


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_cut_connection_repeats_an_idempotent_task_and_fails_any_other(
    gateway: Running, idempotent: bool
) -> None:
    calls = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            calls.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await gateway.register(Backend(url=f"http://127.0.0.1:{port}"))
        task = await gateway.create(idempotent=idempotent, maxAttempts=2)
        done = await gateway.task(task["id"], wait_s=10)
    assert done["status"] == "FAILED"
    assert done["details"] == {"reason": "ambiguous", "attempt": done["attempt"]}
    assert len(calls) == done["attempt"] == (2 if idempotent else 1)
    _, listed = await gateway.call("GET", f"/api/tasks/{task['id']}/attempts")
    assert [one["outcome"] for one in listed["attempts"]] == ["AMBIGUOUS"] * len(calls)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_refuses_is_left_alone_and_another_takes_the_task(
    gateway: Running, backend: Backend, status: int
) -> None:
    backend.answer = say(b"busy", status)
    # Offered first: its load is less.
    refusing_id = await gateway.register(backend, maxConcurrent=1_000)
    async with running_backend() as other:
        other_id = await gateway.register(other, name="other", maxConcurrent=1)
        await gateway.probed(refusing_id, other_id)
        done = await gateway.create(**{"async": False})
    assert (done["status"], done["serverId"], done["attempt"]) == ("COMPLETED", other_id, 2)
    assert len(backend.history) == 1


async def test_a_server_that_cannot_be_reached_costs_no_attempt(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(Backend(url="http://127.0.0.1:1"), maxConcurrent=1_000)
    await gateway.register(backend, name="good", maxConcurrent=1)
    done = await gateway.create(maxAttempts=1, **{"async": False})
    assert done["status"] == "COMPLETED"


async def test_cancelling_a_waiting_task_ends_it_and_again_is_no_error(gateway: Running) -> None:
    task = await gateway.create()
    for verb, path in (("DELETE", ""), ("POST", "/cancel")):
        status, body = await gateway.call(verb, f"/api/tasks/{task['id']}{path}")
        assert (status, body["status"]) == (200, "CANCELLED")


async def test_cancelling_a_synchronous_task_hangs_up_on_the_server(
    gateway: Running, backend: Backend
) -> None:
    hung_up = asyncio.Event()

    async def wait_for_hang_up(_job: Job) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            hung_up.set()
            raise
        raise AssertionError

    backend.answer = wait_for_hang_up
    server_id = await gateway.register(backend, maxConcurrent=1)
    creating = asyncio.create_task(gateway.create(**{"async": False}))
    job = await backend.next_job()
    status, _ = await gateway.call("POST", f"/api/tasks/{job['id']}/cancel", {"reason": "enough"})
    done = await creating
    assert (status, done["status"], done["error"]) == (200, "CANCELLED", "enough")
    assert await backend.next_cancel() == {"id": job["id"], "attempt": 1}
    await gateway.eventually(f"/api/servers/{server_id}", lambda server: server["active"] == 0)
    backend.answer = SUCCESS
    assert (await gateway.create(**{"async": False}))["status"] == "COMPLETED"


async def test_a_backend_learns_from_its_callback_that_the_task_was_cancelled(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    status, body = await backend.report(job, status="PROCESSING", progress=50)
    assert (status, body["status"], body["cancelled"]) == (200, "CANCELLED", True)
    status, body = await backend.report(job, status="CANCELLED")
    assert (status, body["status"]) == (200, "CANCELLED")
    status, body = await backend.report(job, status="COMPLETED", result=1)
    assert (status, body["code"]) == (409, "ILLEGAL_TRANSITION")
    assert body["details"] == {"status": "CANCELLED", "allowed": ["PENDING"]}


async def test_a_retried_task_runs_again_and_keeps_its_history(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say({"status": "error", "error": "no"})
    await gateway.register(backend)
    task = await gateway.create(**{"async": False})
    assert task["status"] == "FAILED"
    backend.answer = SUCCESS
    status, retried = await gateway.call("POST", f"/api/tasks/{task['id']}/retry")
    assert (status, retried["status"]) == (200, "PENDING")
    done = await gateway.task(task["id"], wait_s=10)
    assert (done["status"], done["attempt"]) == ("COMPLETED", 2)
    assert "error" not in done
    _, listed = await gateway.call("GET", f"/api/tasks/{task['id']}/attempts")
    assert [one["outcome"] for one in listed["attempts"]] == ["REJECTED", "SUCCEEDED"]
    status, body = await gateway.call("POST", f"/api/tasks/{task['id']}/retry")
    assert (status, body["code"]) == (409, "ILLEGAL_TRANSITION")


async def test_a_report_of_an_earlier_attempt_is_refused(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create()
    stale = await backend.next_job()
    await backend.report(stale, status="FAILED", error="first")
    await gateway.call("POST", f"/api/tasks/{task['id']}/retry")
    await backend.next_job()
    status, body = await backend.report(stale, status="COMPLETED", result="old")
    assert (status, body["code"]) == (409, "STALE_ATTEMPT")
    assert (body["details"]["attempt"], body["details"]["current"]) == (1, 2)


async def test_who_saw_the_end_and_asks_again_is_told_that_there_is_no_more(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    task = await gateway.create()
    last = (await gateway.events(task["id"]))[-1]["seq"]
    headers = {"Authorization": f"Bearer {token()}"}
    for seq, status in ((last - 1, 200), (last, 204), (last + 1, 204)):
        async with gateway.http.get(
            f"{gateway.url}/api/tasks/{task['id']}/events",
            headers={**headers, "Last-Event-ID": str(seq)},
        ) as response:
            assert (response.status, bool(await response.read())) == (status, status == 200)


async def test_watchers_before_during_and_after_see_the_same_events(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    task = await gateway.create()
    before = asyncio.create_task(gateway.events(task["id"]))
    await gateway.register(backend)
    job = await backend.next_job()
    for progress in (10, 20):
        await backend.report(job, status="PROCESSING", progress=progress, message=f"{progress} %")
    during = asyncio.create_task(gateway.events(task["id"]))
    await backend.report(job, status="PROCESSING", progress=15)
    await backend.report(job, status="COMPLETED", result=[1])
    after = await gateway.events(task["id"])
    assert await before == await during == after
    assert [event["seq"] for event in after] == list(range(1, len(after) + 1))
    shown = [event["progress"] for event in after]
    assert shown == sorted(shown)
    assert after[-1]["status"] == "COMPLETED"
    assert after[-1]["task"]["result"] == [1]
    assert await gateway.events(task["id"], after=3) == after[3:]


@pytest.mark.parametrize("end", ["waiting", "held", "final"])
async def test_another_tenants_task_is_told_by_nothing_from_none(
    gateway: Running, backend: Backend, end: str
) -> None:
    task = await gateway.create()
    if end == "held":
        backend.answer = ACCEPTED
        await gateway.register(backend)
        await backend.next_job()
    if end == "final":
        await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    none = task["id"][:-1] + ("1" if task["id"].endswith("0") else "0")
    for verb, path, role, body in (
        ("GET", "", Role.CLIENT, None),
        ("GET", "?wait=1", Role.CLIENT, None),
        ("PUT", "", Role.BACKEND, {"status": "PROCESSING"}),
        ("DELETE", "", Role.CLIENT, None),
        ("POST", "/cancel", Role.CLIENT, None),
        ("POST", "/retry", Role.CLIENT, None),
        ("GET", "/attempts", Role.CLIENT, None),
        ("GET", "/explain", Role.CLIENT, None),
        ("GET", "/events", Role.CLIENT, None),
    ):
        stranger = token(role, tenant="other")
        for task_id in (none, task["id"]):
            answer = await gateway.call(verb, f"/api/tasks/{task_id}{path}", body, stranger)
            assert answer == (
                404,
                {
                    "status": "FAILED",
                    "error": f"there is no task {task_id}",
                    "code": "NOT_FOUND",
                    "details": {},
                },
            ), (verb, path)
    _, listed = await gateway.call("GET", "/api/tasks", auth=token(Role.CLIENT, tenant="other"))
    assert listed["tasks"] == []


async def test_a_callback_needs_the_right_of_its_own_task_and_attempt(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    await gateway.create()
    first, other = await backend.next_job(), await gateway.create()
    stolen = first["callback_url"].replace(first["id"], other["id"])
    bare = first["callback_url"].partition("?")[0]
    async with aiohttp.ClientSession() as session:
        for url in (stolen, bare, f"{bare}?token=1.srv_x.AAAA"):
            async with session.put(url, json={"status": "COMPLETED"}) as response:
                assert response.status == 401, url


@pytest.mark.parametrize("header", ["Bearer of-another-service", "Basic dTpw", "Bearer é"])
async def test_a_callback_counts_whatever_authorization_its_client_adds(
    gateway: Running, backend: Backend, header: str
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    async with gateway.http.put(
        job["callback_url"], json={"status": "COMPLETED"}, headers={"Authorization": header}
    ) as response:
        assert response.status == 200
    assert (await gateway.task(task["id"]))["status"] == "COMPLETED"


async def test_a_backends_own_token_reports_on_open_attempts_of_its_tenant(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    task = await gateway.create()
    path, said = f"/api/tasks/{task['id']}", {"status": "FAILED", "error": "no"}
    own, other = (token(Role.BACKEND, tenant=tenant) for tenant in ("acme", "other"))
    status, body = await gateway.call("PUT", path, said, auth=own)
    assert (status, body["code"]) == (409, "STALE_ATTEMPT")
    await gateway.register(backend)
    await backend.next_job()
    assert (await gateway.call("PUT", path, said, auth=other))[0] == 404
    assert (await gateway.call("PUT", path, said, auth=token(Role.CLIENT)))[0] == 403
    status, body = await gateway.call("PUT", path, said, auth=own)
    assert (status, body["status"]) == (200, "FAILED")


async def test_the_queue_has_a_limit(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, queue_limit_per_tenant=2) as gateway:
        for _ in range(2):
            await gateway.create()
        status, body = await gateway.call("POST", "/api/tasks", {"type": "echo"})
        assert (status, body["code"]) == (429, "RESOURCE_LIMIT")
        other = token(Role.CLIENT, tenant="other")
        status, _ = await gateway.call("POST", "/api/tasks", {"type": "echo"}, auth=other)
        assert status == 202


async def test_a_draining_server_gets_no_tasks_until_it_is_resumed(
    gateway: Running, backend: Backend
) -> None:
    server_id = await gateway.register(backend)
    _, server = await gateway.call("POST", f"/api/servers/{server_id}/drain")
    assert server["status"] == "draining"
    task = await gateway.create()
    assert "serverId" not in task
    _, server = await gateway.call("POST", f"/api/servers/{server_id}/resume")
    assert server["status"] == "active"
    assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"


async def test_a_deregistered_server_is_gone_and_what_it_still_had_is_lost(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    server_id = await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    for _ in range(2):
        assert await gateway.call("DELETE", f"/api/servers/{server_id}?grace=0") == (200, {})
    assert (await gateway.call("GET", f"/api/servers/{server_id}"))[0] == 404
    lost = await gateway.task(task["id"])
    assert (lost["status"], lost["details"]["reason"]) == ("FAILED", "lost")
    status, _ = await backend.report(job, status="COMPLETED", result=1)
    assert status == 409
    assert "serverId" not in await gateway.create()


async def test_listing_is_newest_first_with_a_stable_cursor(gateway: Running) -> None:
    made = [(await gateway.create(type=f"type-{index % 2}"))["id"] for index in range(5)]
    _, page = await gateway.call("GET", "/api/tasks?pageSize=2")
    found = [task["id"] for task in page["tasks"]]
    while page.get("nextPageToken"):
        await gateway.create()
        _, page = await gateway.call(
            "GET", f"/api/tasks?pageSize=2&pageToken={page['nextPageToken']}"
        )
        found += [task["id"] for task in page["tasks"]]
    assert found == made[::-1]
    _, odd = await gateway.call("GET", "/api/tasks?type=type-1&status=PENDING")
    assert [task["id"] for task in odd["tasks"]] == made[1::2][::-1]


async def test_what_waits_and_what_runs_goes_on_after_a_restart(
    tmp_path: Path, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    async with running_gateway(tmp_path) as gateway:
        await gateway.register(backend, maxConcurrent=1)
        running, waiting = await gateway.create(), await gateway.create()
        job = await backend.next_job()
        await gateway.eventually(
            f"/api/tasks/{running['id']}", lambda task: task["status"] == "PROCESSING"
        )
    async with running_gateway(tmp_path) as gateway:
        task = await gateway.task(running["id"])
        assert task["status"] == "PROCESSING"
        job["callback_url"] = f"{gateway.url}/api/tasks/{job['callback_url'].split('tasks/')[1]}"
        assert (await backend.report(job, status="COMPLETED", result=1))[0] == 200
        assert (await backend.next_job())["id"] == waiting["id"]


async def test_a_watcher_that_does_not_wait_gets_what_is_there_and_the_end(
    gateway: Running,
) -> None:
    task = await gateway.create(type="nobody")
    headers = {"Authorization": f"Bearer {token()}"}
    path = f"{gateway.url}/api/tasks/{task['id']}/events?withoutWaiting=true"
    async with asyncio.timeout(10):
        async with gateway.http.get(path, headers=headers) as response:
            text = await response.text()
        assert [line for line in text.splitlines() if line.startswith("event:")] == [
            "event: created"
        ]
        async with gateway.http.get(f"{path}&after=1", headers=headers) as response:
            assert response.status == 204
