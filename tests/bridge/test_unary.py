import asyncio
from typing import Any

import pytest

from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    DeregisterServerResponse,
    DrainServerResponse,
    HeartbeatResponse,
    ListServersResponse,
)
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    CancelTaskResponse,
    GetTaskRequest,
    GetTaskResponse,
    ListTasksResponse,
    UpdateTaskRequest,
    UpdateTaskResponse,
)
from tests.bridge.upstream import Client

JSON = {"Content-Type": "application/json"}
WAITING = Task(id="task_1", type="a", status=Task.PENDING)
DONE = Task(id="task_1", type="a", status=Task.COMPLETED)


async def test_a_callback_carries_its_right_in_the_url(client: Client) -> None:
    client.upstream.answers["UpdateTask"] = UpdateTaskResponse(id="task_1", status=Task.PROCESSING)
    said = b'{"status" : "processing", "progress":"45%", "more":[NaN]}'
    status, _, _ = await client.call(
        "PUT", "/api/tasks/task_1?token=abc&cache=no", data=said, headers=JSON
    )
    assert status == 200
    asked = UpdateTaskRequest(id="task_1", token="abc", update_json=said)
    assert client.upstream.last == asked


async def test_a_callback_is_told_what_was_left_out(client: Client) -> None:
    answer = UpdateTaskResponse(id="task_1", status=Task.PROCESSING, notes=["progress is none"])
    client.upstream.answers["UpdateTask"] = answer
    _, body, _ = await client.call("PUT", "/api/tasks/task_1", {"status": "PROCESSING"})
    assert body["notes"] == ["progress is none"]


async def test_the_path_says_which_task_whatever_the_query_says(client: Client) -> None:
    client.upstream.answers["GetTask"] = GetTaskResponse(task=WAITING)
    status, body, _ = await client.call("GET", "/api/tasks/task_1?id=task_2")
    assert (status, body["error"]) == (400, "id: no such parameter")
    await client.call("GET", "/api/tasks/task_1?wait=60")
    assert client.upstream.last == GetTaskRequest(
        id="task_1", wait_seconds=60, value_format=JSON_TEXT
    )


async def test_the_path_says_which_server_whatever_the_body_says(client: Client) -> None:
    client.upstream.answers["Heartbeat"] = HeartbeatResponse(id="srv_1", status=Server.ACTIVE)
    body = {"id": "srv_2", "load": {"cpu": 5}}
    _, answer, _ = await client.call("POST", "/api/servers/srv_1/heartbeat", body)
    assert answer == {"id": "srv_1", "status": "active"}
    assert client.upstream.last.id == "srv_1"


async def test_a_query_chooses_what_is_listed(client: Client) -> None:
    client.upstream.answers["ListTasks"] = ListTasksResponse()
    status, body, _ = await client.call("GET", "/api/tasks?status=failed&serverId=srv_1&pageSize=2")
    assert (status, body) == (200, {"tasks": []})
    asked = client.upstream.last
    assert (asked.status, asked.server_id, asked.page_size) == (Task.FAILED, "srv_1", 2)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?state=failed", "state: no such parameter"),
        ("?pageSize=many", 'pageSize: expected an integer, got "many"'),
        ("?status=done", "status: expected one of PENDING"),
    ],
)
async def test_a_wrong_query_is_named(client: Client, query: str, error: str) -> None:
    status, body, _ = await client.call("GET", f"/api/tasks{query}")
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
    assert body["error"].startswith(error)


async def test_a_request_with_a_body_of_its_own_has_no_query(client: Client) -> None:
    status, body, _ = await client.call("POST", "/api/tasks?type=a", {"type": "a"})
    assert (status, body["error"]) == (400, "type: no such parameter")


async def test_both_ways_to_cancel_are_one_rpc(client: Client) -> None:
    client.upstream.answers["CancelTask"] = CancelTaskResponse(task=DONE)
    await client.call("DELETE", "/api/tasks/task_1?reason=late")
    await client.call("POST", "/api/tasks/task_1/cancel", {"reason": "late"})
    assert client.upstream.asked[0] == client.upstream.asked[1]
    status, _, _ = await client.call("POST", "/api/tasks/task_1/cancel")
    assert status == 200


async def test_a_request_without_body_refuses_fields_but_no_empty_object(client: Client) -> None:
    client.upstream.answers["DrainServer"] = DrainServerResponse(server=Server(id="srv_1"))
    client.upstream.answers["DeregisterServer"] = DeregisterServerResponse()
    status, body, _ = await client.call("POST", "/api/servers/srv_1/drain", {"force": True})
    assert (status, body["error"]) == (400, "force: this request has no body")
    status, body, _ = await client.call("POST", "/api/servers/srv_1/drain", {})
    assert (status, body["id"]) == (200, "srv_1")
    status, body, _ = await client.call("DELETE", "/api/servers/srv_1")
    assert (status, body) == (200, {})


async def test_head_has_the_headers_of_get(client: Client) -> None:
    client.upstream.answers["ListServers"] = ListServersResponse()
    async with client.http.head("/api/servers") as response:
        assert (response.status, response.headers["Content-Length"]) == (200, "14")
        assert await response.read() == b""


async def gone_during(client: Client, rpc: str, request: bytes, release: asyncio.Event) -> None:
    """Sends a request and hangs up as soon as the RPC has begun."""

    async def answer(request: Any, context: Any) -> Any:
        await release.wait()
        return UpdateTaskResponse(id="task_1")

    client.upstream.answers[rpc] = answer
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    await client.upstream.begun.wait()
    writer.close()


@pytest.mark.parametrize(
    ("rpc", "request_line", "body"),
    [
        ("GetTask", b"GET /api/tasks/task_1?wait=60", b""),
        ("CreateTask", b"POST /api/tasks", b'{"type":"a","async":false}'),
    ],
)
async def test_who_waits_and_goes_away_is_waited_for_no_more(
    client: Client, rpc: str, request_line: bytes, body: bytes
) -> None:
    request = b"%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
    await gone_during(client, rpc, request % (request_line, len(body), body), asyncio.Event())
    await client.upstream.broken_off.wait()


async def test_a_callback_counts_though_its_sender_has_gone(client: Client) -> None:
    body = b'{"status":"COMPLETED","result":1}'
    request = b"PUT /api/tasks/task_1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
    release = asyncio.Event()
    await gone_during(client, "UpdateTask", request % (len(body), body), release)
    release.set()
    client.upstream.answers["ListTasks"] = ListTasksResponse()
    await client.call("GET", "/api/tasks")
    assert not client.upstream.broken_off.is_set()
