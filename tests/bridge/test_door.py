"""Bytes at the door: whatever comes over a socket, and whenever it stops coming."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import (
    CreateTaskResponse,
    GetTaskResponse,
    ListTasksResponse,
    UpdateTaskResponse,
    WatchTaskResponse,
)
from tests.bridge.upstream import Client, Upstream, running_bridge, running_upstream

HEAD = b"Host: a\r\nConnection: close\r\nAuthorization: Bearer abc\r\n"
CREATE = b"POST /api/tasks HTTP/1.1\r\n" + HEAD + b"Content-Length: 12\r\n\r\n" + b'{"type":"a"}'
CHUNKED = b"POST /api/tasks HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b'4;a=b\r\n{"ty\r\n8\r\npe":"a"}\r\n0\r\nTrailer: x\r\n\r\n'
CALLBACK = (
    b"PUT /api/tasks/task_1?token=1.srv_1.mac HTTP/1.1\r\n"
    + HEAD
    + b'Expect: 100-continue\r\nContent-Length: 22\r\n\r\n{"status":"COMPLETED"}'
)
READ = b"GET /api/tasks/task_1?wait=5 HTTP/1.1\r\n" + HEAD + b"\r\n"
WATCH = b"GET /api/tasks/task_1/events HTTP/1.1\r\n" + HEAD + b"Last-Event-ID: 0\r\n\r\n"
LIST = b"GET /api/tasks?status=FAILED&type=a HTTP/1.1\r\n" + HEAD + b"\r\n"
REQUESTS = [CREATE, CHUNKED + CHUNKS, CALLBACK, READ, WATCH, LIST]


def answer_well(upstream: Upstream) -> None:
    upstream.answers["CreateTask"] = CreateTaskResponse(task=Task(id="task_1"))
    upstream.answers["GetTask"] = GetTaskResponse(task=Task(id="task_1"))
    upstream.answers["ListTasks"] = ListTasksResponse()
    upstream.answers["UpdateTask"] = UpdateTaskResponse(id="task_1")


@pytest.fixture(scope="module")
async def door() -> AsyncIterator[Client]:
    async with running_bridge(body_timeout_ms=1_000) as client:
        answer_well(client.upstream)
        yield client


@pytest.fixture(scope="module")
async def hasty() -> AsyncIterator[Client]:
    """A bridge that waits for nobody for long."""
    brief = {"header_timeout_ms": 30, "body_timeout_ms": 30, "keepalive_timeout_ms": 30}
    async with running_bridge(**brief) as client:
        answer_well(client.upstream)
        yield client


def check(answer: bytes) -> int:
    """Holds an answer to what every answer is; returns its status."""
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status < 500, answer
    assert b"\r\nX-Request-ID: " in head
    if status >= 400:
        length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
        if body:
            said = orjson.loads(body[:length])
            assert said.keys() == {"status", "error", "code", "details"}
            assert said["error"]
    return status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://elsewhere.example/api/tasks/1", 200),
        (b"http://elsewhere.example:99999/api/tasks/1", 400),
        (b"//elsewhere.example/api/tasks/1", 404),
        (b"api/tasks/1", 400),
        (b"*", 400),
        (b"/%00", 404),
        (b"/api/tasks/%00", 200),
        (b"/api/tasks/%2F", 200),
        (b"/api/tasks/%2E%2E", 200),
        (b"/api/tasks/..", 200),
        (b"/docs/../api/tasks/1", 404),
        (b"/api/tasks/%", 200),
        (b"/api/tasks/%ff", 200),
        (b"/api/tasks/\xff", 400),
        (b"/api/tasks/\xc3\xa9", 400),
        (b"/api/tasks/a b", 400),
        (b"/api/tasks/\x01", 400),
        (b"/api/tasks/1?" + b"wait=0&" * 1_000, 200),
        (b"/api/tasks/1?" + b"wait=0&" * 3_000, 431),
        (b"/api/tasks/1?%ff=%ff", 400),
        (b"/api/tasks/1?&&=&", 400),
        (b"/api/tasks/1#fragment", 200),
        (b"/" + b"a/" * 4_000, 404),
    ],
)
async def test_an_odd_target_is_answered(door: Client, target: bytes, status: int) -> None:
    sent = b"GET %b HTTP/1.1\r\n%b\r\n" % (target, HEAD)
    assert check(await door.raw(sent)) == status


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"X: \xff", 202),
        (b"X: \xc3\xa9", 202),
        (b"X:", 202),
        (b"X", 400),
        (b": x", 400),
        (b"X : x", 400),
        (b"X: a\r\n b", 400),
        (b"X: \x00", 400),
        (b"X\xff: x", 400),
        (b"Expect: 200-ok", 202),
        (b"Expect: \xff", 202),
        (b"Prefer: wait=\xff", 202),
        (b"Cookie: \xff", 202),
        (b"Content-Type: \xff", 415),
        (b"Content-Encoding: \xff", 415),
        (b"Idempotency-Key: \xff", 400),
        (b"Content-Length: 12", 400),
        (b"Transfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: gzip", 400),
        (b"Upgrade: websocket", 202),
        (b"Upgrade: websocket\r\nConnection: Upgrade", 202),
    ],
)
async def test_an_odd_header_is_answered(door: Client, header: bytes, status: int) -> None:
    sent = CREATE.replace(b"Host: a\r\n", b"Host: a\r\n%b\r\n" % header)
    assert check(await door.raw(sent)) == status


@pytest.mark.parametrize("header", [b"\xff", b"Bearer \xc3\xa9", b"Bearer \x80"])
async def test_a_token_that_cannot_be_one_is_refused_before_the_body(
    door: Client, header: bytes
) -> None:
    head = CREATE.partition(b"\r\n\r\n")[0].replace(b"Bearer abc", header)
    assert check(await door.raw(head + b"\r\n\r\n")) == 401


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        (b"zz\r\n", 400),
        (b"-1\r\n", 400),
        (b"0x1\r\n{\r\n", 400),
        (b" 1\r\n{\r\n", 400),
        (b"1\r\n{{\r\n", 400),
        (b"f" * 20 + b"\r\n", 400),
        (b"0\r\nTrailer: %b\r\n\r\n" % (b"x" * 9_000), 400),
        (b"0\r\n%b\r\n" % (b"X: x\r\n" * 200), 400),
        (b"0\r\nX\r\n\r\n", 400),
        (b"\x00", 400),
        # Not whole: it might still come.
        (b'c\r\n{"type":"a"}\r\n', 408),
    ],
)
@pytest.mark.parametrize("path", [b"/api/tasks", b"/nothing"])
async def test_chunks_that_are_none_are_refused_when_they_come(
    door: Client, path: bytes, chunks: bytes, status: int
) -> None:
    asked = len(door.upstream.asked)
    head = CHUNKED.replace(b"/api/tasks", path)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    # Apart from the head: somebody already reads the body, or answers without it.
    writer.write(head + b"1\r\n{\r\n")
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.write(chunks)
    assert check(await reader.read()) in ({status} if path == b"/api/tasks" else {400, 404})
    assert len(door.upstream.asked) == asked
    writer.close()


@settings(max_examples=200, deadline=None)
@given(
    request=st.sampled_from(REQUESTS),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=5)),
        min_size=1,
        max_size=4,
    ),
)
async def test_any_bytes_are_answered_or_not_understood(
    hasty: Client, request: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    for place, gone, came in edits:
        at = int(place * len(request))
        request = request[:at] + came + request[at + gone :]
    hasty.upstream.events.put_nowait(None)
    answer = b""
    # Who never comes to an end is not answered.
    with capture_logs() as lines, suppress(ConnectionResetError):
        answer = await hasty.raw(request)
    while not hasty.upstream.events.empty():
        hasty.upstream.events.get_nowait()
    assert not answer or check(answer)
    assert not [line for line in lines if line["log_level"] in {"warning", "error"}]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda sent: sent.split()[0].decode())
async def test_who_hangs_up_anywhere_leaves_nothing_behind(request_: bytes) -> None:
    async with running_upstream() as (upstream, channel):
        answer_well(upstream)

        async def never(_request: object, _context: object) -> None:
            await asyncio.Event().wait()

        upstream.answers["GetTask"] = never
        event = TaskEvent(task_id="task_1", seq=1, kind=TaskEvent.CREATED)
        bridge = Bridge(channel, BridgeConfig(port=0))
        address = await bridge.start()
        server = bridge._server
        assert server is not None
        with capture_logs() as lines:
            for cut in range(len(request_) + 1):
                upstream.events.put_nowait(WatchTaskResponse(event=event))
                _, writer = await asyncio.open_connection(*address)
                writer.write(request_[:cut])
                await asyncio.sleep(0)
                if cut % 2:
                    writer.transport.abort()
                else:
                    writer.close()
            await server._gone(asyncio.get_running_loop().time() + 30)
        assert server.connections == []
        assert not [line for line in lines if line["log_level"] in {"warning", "error"}]
        await bridge.stop(1.0)
