"""Who calls is known before a body is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode

from inferry.v1.access_service_pb2 import CheckAccessRequest
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    CancelTaskResponse,
    CreateTaskResponse,
    UpdateTaskResponse,
)
from tests.bridge.upstream import Client, RefusalError

STRANGER = RefusalError(
    StatusCode.UNAUTHENTICATED, "send a token", ErrorInfo(reason="UNAUTHENTICATED")
)
BACKEND = RefusalError(
    StatusCode.PERMISSION_DENIED, "not with this role", ErrorInfo(reason="PERMISSION_DENIED")
)
#: Within this a refusal comes, though the body never does.
AT_ONCE_S = 20


@asynccontextmanager
async def answered(
    client: Client, start: bytes, rest: bytes = b""
) -> AsyncIterator[tuple[bytes, asyncio.StreamReader]]:
    """Sends the start of a request, and the rest when the answer has come; gives its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(start)
        async with asyncio.timeout(AT_ONCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(rest)
            yield head, reader
    finally:
        writer.close()


def _report(query: str, length: int, header: str = "") -> bytes:
    """Begins a report whose body has yet to come."""
    line = f"PUT /api/tasks/task_1{query} HTTP/1.1"
    return f"{line}\r\nHost: a\r\nContent-Length: {length}\r\n{header}\r\n".encode()


@pytest.mark.parametrize(
    ("verb", "path", "method"),
    [
        ("POST", "/api/tasks", "/inferry.v1.TaskService/CreateTask"),
        ("POST", "/api/tasks/task_1/cancel", "/inferry.v1.TaskService/CancelTask"),
        ("DELETE", "/api/tasks/task_1", "/inferry.v1.TaskService/CancelTask"),
        ("POST", "/api/servers/register", "/inferry.v1.ServerService/RegisterServer"),
        ("POST", "/api/queue/pause", "/inferry.v1.QueueService/PauseType"),
    ],
)
@pytest.mark.parametrize(("refusal", "status"), [(STRANGER, 401), (BACKEND, 403)])
async def test_a_body_is_not_read_for_who_may_not_send_it(
    client: Client, verb: str, path: str, method: str, refusal: RefusalError, status: int
) -> None:
    client.upstream.stranger = refusal
    # Not even its type or its size is looked at.
    body = BytesIO(b"{" * 2_000_000)
    got, content, headers = await client.call(
        verb, path, data=body, headers={"Content-Type": "text/html", "Authorization": "Bearer x"}
    )
    assert (got, content["error"]) == (status, str(refusal))
    assert (headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
    assert [asked.method for asked in client.upstream.checked] == [method]
    assert client.upstream.asked == []


async def test_a_callback_is_asked_for_with_its_token(client: Client) -> None:
    client.upstream.stranger = STRANGER
    for query, token in (("?token=1.srv_1.abc", "1.srv_1.abc"), ("", "")):
        async with answered(client, _report(query, length=1_000_000)) as (head, _):
            assert head.startswith(b"HTTP/1.1 401 ")
        assert client.upstream.checked.pop() == CheckAccessRequest(
            method="/inferry.v1.TaskService/UpdateTask", id="task_1", token=token
        )
    assert client.upstream.asked == []


async def test_a_callback_that_is_here_whole_is_decided_about_by_the_rpc_itself(
    client: Client,
) -> None:
    client.upstream.answers["UpdateTask"] = STRANGER
    nested = b'{"status":"COMPLETED","result":' + b"[" * 300 + b"]" * 300 + b"}"
    # Not even how it is packed comes before that.
    for headers in ({}, {"Content-Encoding": "br"}):
        status, content, _ = await client.call(
            "PUT", "/api/tasks/task_1?token=1.srv_1.abc", data=nested, headers=headers
        )
        assert (status, content["code"]) == (401, "UNAUTHENTICATED")
    assert client.upstream.checked == []


async def test_a_stranger_that_sends_slowly_is_refused_at_once_and_hung_up_on(
    client: Client,
) -> None:
    client.upstream.stranger = STRANGER
    start = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{"
    async with answered(client, start, b'"type"') as (head, reader):
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"Connection: close" in head
        # To its end, though the body never comes.
        await reader.read()


async def test_a_stranger_that_asks_first_is_not_told_to_go_on(client: Client) -> None:
    start = (
        b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n"
    )
    client.upstream.stranger = STRANGER
    async with answered(client, start) as (head, _):
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"Connection: close" in head
    client.upstream.stranger = None
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=Task(id="task_1"))
    async with answered(client, start, b'{"type":"echo"}') as (head, reader):
        assert head == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await reader.readline()).startswith(b"HTTP/1.1 202 ")


async def test_a_refusal_of_a_whole_body_leaves_the_connection_open(client: Client) -> None:
    client.upstream.stranger = STRANGER
    for _ in range(2):
        _, _, headers = await client.call("POST", "/api/tasks", {"type": "echo"})
        assert "Connection" not in headers


async def test_who_might_send_a_body_a_moment_ago_is_not_asked_for_again(client: Client) -> None:
    client.upstream.answers |= {
        "UpdateTask": UpdateTaskResponse(id="task_1"),
        "CreateTask": CreateTaskResponse(task=Task(id="task_1")),
    }
    said = b'{"status":"PROCESSING"}'
    for _ in range(3):
        for query in ("?token=1.srv_1.abc", "?token=2.srv_1.abc"):
            start = _report(query, len(said), "Expect: 100-continue\r\n")
            async with answered(client, start, said) as (head, reader):
                assert head == b"HTTP/1.1 100 Continue\r\n\r\n"
                assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        for token in ("one", "two"):
            await client.call(
                "POST",
                "/api/tasks",
                {"type": "echo"},
                headers={"Authorization": f"Bearer {token}"},
            )
    assert len(client.upstream.asked) == 12
    assert [asked.token for asked in client.upstream.checked] == [
        "1.srv_1.abc",
        "2.srv_1.abc",
        "",
        "",
    ]


async def test_a_stranger_is_asked_for_each_time(client: Client) -> None:
    for refusal in (STRANGER, STRANGER, None):
        client.upstream.stranger = refusal
        client.upstream.answers["CreateTask"] = CreateTaskResponse(task=Task(id="task_1"))
        status, _, _ = await client.call("POST", "/api/tasks", {"type": "echo"})
        assert status == (202 if refusal is None else 401)
    assert len(client.upstream.checked) == 3


async def test_what_has_no_body_is_not_asked_for(client: Client) -> None:
    client.upstream.stranger = STRANGER
    answers: dict[str, Any] = {
        "CancelTask": CancelTaskResponse(task=Task(id="task_1")),
        "UpdateTask": UpdateTaskResponse(id="task_1"),
    }
    client.upstream.answers |= answers
    for verb, path in (
        ("DELETE", "/api/tasks/task_1"),
        ("POST", "/api/tasks/task_1/cancel"),
        ("PUT", "/api/tasks/task_1"),
    ):
        status, _, _ = await client.call(verb, path)
        assert status == 200
    assert client.upstream.checked == []
