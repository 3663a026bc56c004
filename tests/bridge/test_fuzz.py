"""Whatever is sent: never a 500, and every error in the guide's body."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.v1.server_service_pb2 import RegisterServerResponse
from inferry.v1.task_service_pb2 import CreateTaskResponse, ListTasksResponse, UpdateTaskResponse
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
        "metadata",
        "url",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["COMPLETED", "failed", "2026-01-31T12:00:00Z", "1e5", "-0", "0001-01-01T00:00:00Z"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner)
)
BODIES = st.binary() | st.dictionaries(NAMES | st.text(max_size=5), VALUES).map(
    # Python's own printer prints NaN, long integers and lone surrogates, too.
    lambda data: json.dumps(data).encode()
)
TARGETS = st.sampled_from(
    [("POST", "/api/tasks"), ("PUT", "/api/tasks/task_1"), ("POST", "/api/servers/register")]
)
FUZZ = settings(max_examples=150, deadline=None)


@pytest.fixture(scope="module")
async def fuzzed() -> AsyncIterator[Client]:
    async with running_bridge() as client:
        client.upstream.answers["CreateTask"] = CreateTaskResponse()
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
