"""Whatever is sent: never a 500, and every error in the guide's body."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.v1.queue_service_pb2 import PauseTypeResponse
from inferry.v1.server_service_pb2 import RegisterServerResponse
from inferry.v1.task_service_pb2 import (
    CreateTaskResponse,
    ListTasksResponse,
    RetryTasksResponse,
    UpdateTaskResponse,
)
from tests.bridge.upstream import Client, running_bridge

NAMES = st.sampled_from(
    [
        "type",
        "payload",
        "async",
        "timeout",
        "labels",
        "capabilities",
        "notBefore",
        "status",
        "progress",
        "message",
        "result",
        "error",
        "code",
        "details",
        "retryable",
        "extend_ms",
        "requestId",
        "limit",
        "reason",
        "metadata",
        "url",
    ]
)
#: Halves of surrogate pairs among them: JSON can spell those.
TEXTS = st.text(max_size=5) | st.sampled_from(["\ud800", "x\udfff"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.sampled_from(
        ["COMPLETED", "failed", "2026-01-31T12:00:00Z", "1e5", "-0", "0001-01-01T00:00:00Z"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES | TEXTS, inner)
)
BODIES = st.binary() | st.dictionaries(NAMES | TEXTS, VALUES).map(
    # Python's own printer prints NaN, long integers and lone surrogates, too.
    lambda data: json.dumps(data).encode()
)
TARGETS = st.sampled_from(
    [
        ("POST", "/api/tasks"),
        ("POST", "/api/tasks/retry"),
        ("PUT", "/api/tasks/task_1"),
        ("POST", "/api/queue/pause"),
        ("POST", "/api/servers/register"),
    ]
)
FUZZ = settings(max_examples=150, deadline=None)


@pytest.fixture(scope="module")
async def fuzzed() -> AsyncIterator[Client]:
    async with running_bridge() as client:
        client.upstream.answers["CreateTask"] = CreateTaskResponse()
        client.upstream.answers["RetryTasks"] = RetryTasksResponse()
        client.upstream.answers["PauseType"] = PauseTypeResponse()
        client.upstream.answers["UpdateTask"] = UpdateTaskResponse()
        client.upstream.answers["RegisterServer"] = RegisterServerResponse()
        client.upstream.answers["ListTasks"] = ListTasksResponse()
        yield client


def check(status: int, body: Any) -> None:
    assert status in {200, 202, 400}, body
    if status == 400:
        assert body.keys() == {"status", "error", "code", "details"}
        assert (body["status"], body["code"]) == ("FAILED", "INVALID_PAYLOAD")
        assert body["error"]


@FUZZ
@given(target=TARGETS, data=BODIES)
async def test_any_body(fuzzed: Client, target: tuple[str, str], data: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    status, body, _ = await fuzzed.call(*target, data=data, headers=headers)
    check(status, body)


@FUZZ
@given(
    query=st.dictionaries(st.sampled_from(["status", "type", "pageSize"]) | st.text(), st.text())
)
async def test_any_query(fuzzed: Client, query: dict[str, str]) -> None:
    status, body, _ = await fuzzed.call("GET", "/api/tasks", params=query)
    check(status, body)


@FUZZ
@given(key=st.binary(max_size=300).filter(lambda key: not set(key) & set(b"\r\n\0")))
async def test_any_name_of_a_request(fuzzed: Client, key: bytes) -> None:
    answer = await fuzzed.raw(
        b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n"
        b"Idempotency-Key: %b\r\n\r\n{}" % key
    )
    assert answer.startswith((b"HTTP/1.1 202 ", b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), answer
