"""A request is found in the log by its id: the call, the act, and the task that it created."""

import json
from pathlib import Path
from secrets import token_urlsafe

import aiohttp
import pytest
from structlog.testing import capture_logs

from inferry.server.logs import REQUEST_IDS
from tests.backends import running_backend
from tests.gateways import Running, running_gateway, token
from tests.processes import start_gateway, start_mock


async def asked(
    gateway: Running, verb: str, path: str, request_id: str, body: object = None
) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {token()}", "X-Request-ID": request_id}
    url = f"{gateway.url}{path}"
    async with gateway.http.request(verb, url, json=body, headers=headers) as answer:
        assert answer.headers["X-Request-ID"] == request_id
        assert answer.ok
        found: dict[str, object] = await answer.json()
        return found


async def test_a_request_is_found_by_its_id_in_its_call_its_act_and_the_lines_of_its_task(
    tmp_path: Path,
) -> None:
    with capture_logs(processors=[REQUEST_IDS.add]) as lines:
        async with running_gateway(tmp_path) as gateway, running_backend() as backend:
            await gateway.register(backend)
            body = {"type": "echo", "async": False, "payload": {"a": 1}}
            task = await asked(gateway, "POST", "/api/tasks", "creates", body)
            await asked(gateway, "GET", f"/api/tasks/{task['id']}", "reads")
            await asked(gateway, "POST", "/api/queue/pause", "pauses", {"type": "echo"})
    by_id: dict[str, list[str]] = {}
    for line in lines:
        # The bridge's own are for whoever debugs it.
        bridges = line["event"] == "request" or str(line.get("method")).endswith("CheckAccess")
        if "request_id" in line and not bridges:
            by_id.setdefault(line["request_id"], []).append(line["event"])
    assert by_id["reads"] == ["call ended"]
    assert by_id["pauses"] == ["done on request", "call ended"]
    assert {"task created", "task ended", "call ended"} <= set(by_id["creates"])
    (call,) = [one for one in lines if one.get("request_id") == "reads" and "by" in one]
    assert (call["log_level"], call["code"], call["task_id"]) == ("info", "OK", task["id"])
    assert call["method"] == "/inferry.v1.TaskService/GetTask"
    assert call["duration_ms"] >= 0


async def test_a_batch_has_its_requests_id_in_the_lines_of_each_task(gateway: Running) -> None:
    requests = [{"type": "echo", "payload": {}} for _ in range(2)]
    with capture_logs(processors=[REQUEST_IDS.add]) as lines:
        await asked(gateway, "POST", "/api/tasks:batchCreate", "many", {"requests": requests})
    created = [line for line in lines if line["event"] == "task created"]
    assert [line["request_id"] for line in created] == ["many", "many"]


@pytest.mark.file_store
async def test_a_log_at_debug_holds_neither_secrets_nor_what_libraries_tell_their_authors(
    tmp_path: Path,
) -> None:
    secret = token_urlsafe(48)
    settings = {"INFERRY_LOG_LEVEL": "debug", "INFERRY_JWT_SECRET": secret}
    gateway = await start_gateway(tmp_path, settings=settings)
    try:
        mock = await start_mock(gateway)
        headers = {"Authorization": f"Bearer {gateway.token}"}
        async with aiohttp.ClientSession(gateway.rest, headers=headers) as http:
            body = {"type": "test-processing", "payload": {"steps": 2, "seconds": 0.1}}
            async with http.post("/api/tasks", json=body) as answer:
                task, request_id = await answer.json(), answer.headers["X-Request-ID"]
            async with http.get(f"/api/tasks/{task['id']}?wait=20") as answer:
                assert (await answer.json())["status"] == "COMPLETED"
            for path in ("/events?ticket=hidden-a", "%3Fticket%3Dhidden-a", "?token=hidden-a"):
                async with http.get(f"/api/tasks/{task['id']}{path}") as answer:
                    await answer.read()
        await mock.stop()
    finally:
        await gateway.stop()
    lines = [json.loads(line) for line in gateway.log.splitlines()]
    of_task = [line for line in lines if line.get("task_id") == task["id"]]
    assert {line["event"] for line in of_task if line.get("request_id") == request_id} >= {
        *("task created", "task changed", "task ended", "call ended")
    }
    assert not [line for line in lines if line.get("logger")]
    # The callbacks' tokens are made with it, and begin as no other text does.
    for hidden in (gateway.token, secret, "hidden-a", "callback_url"):
        assert hidden not in gateway.log
