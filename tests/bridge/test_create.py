from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo

from inferry.bridge.create import preferred_wait_s
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    CreateTaskRequest,
    CreateTaskResponse,
    GetTaskRequest,
    GetTaskResponse,
)
from tests.bridge.upstream import Client, RefusalError, running_bridge

WAITING = Task(id="task_1", type="a", status=Task.PENDING)
DONE = Task(id="task_1", type="a", status=Task.COMPLETED)


async def test_an_asynchronous_creation_is_accepted(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
    status, body, headers = await client.call("POST", "/api/tasks", {"type": "a", "async": True})
    assert (status, headers["Location"]) == (202, "/api/tasks/task_1")
    assert (body["id"], body["status"]) == ("task_1", "PENDING")
    assert client.upstream.last == CreateTaskRequest(
        type="a", asynchronous=True, value_format=JSON_TEXT
    )


async def test_a_location_keeps_the_path_of_the_public_url() -> None:
    async with running_bridge(public_url="https://gateway.example.com/inferry/") as client:
        client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
        client.upstream.answers["GetTask"] = GetTaskResponse(task=WAITING)
        _, _, headers = await client.call("POST", "/api/tasks", {"type": "a"})
        assert headers["Location"] == "/inferry/api/tasks/task_1"
        assert (await client.call("GET", headers["Location"]))[0] == 200


async def test_a_synchronous_creation_is_answered_with_the_final_task(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=DONE)
    status, body, headers = await client.call("POST", "/api/tasks", {"type": "a", "async": False})
    assert (status, body["status"]) == (200, "COMPLETED")
    assert headers["Location"] == "/api/tasks/task_1"


async def test_a_task_that_failed_is_a_good_answer(client: Client) -> None:
    failed = Task(id="task_1", status=Task.FAILED, error="no", code="INVALID_FORMAT")
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=failed)
    status, body, _ = await client.call("POST", "/api/tasks", {"type": "a", "async": False})
    assert (status, body["error"], body["code"]) == (200, "no", "INVALID_FORMAT")


@pytest.mark.parametrize(
    ("later", "status", "applied"), [(DONE, 200, "wait=5"), (WAITING, 202, None)]
)
async def test_a_creator_may_prefer_to_wait_a_while(
    client: Client, later: Task, status: int, applied: str | None
) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
    client.upstream.answers["GetTask"] = GetTaskResponse(task=later)
    answered, _, headers = await client.call(
        "POST", "/api/tasks", {"type": "a"}, headers={"Prefer": "wait=5"}
    )
    assert (answered, headers.get("Preference-Applied")) == (status, applied)
    assert client.upstream.last == GetTaskRequest(
        id="task_1", wait_seconds=5, value_format=JSON_TEXT
    )


async def test_a_preference_to_wait_does_not_ask_twice_for_a_final_task(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=DONE)
    status, _, _ = await client.call(
        "POST", "/api/tasks", {"type": "a"}, headers={"Prefer": "wait=5"}
    )
    assert (status, [rpc for rpc, _ in client.upstream.asked]) == (200, ["CreateTask"])


async def test_a_wait_that_fails_does_not_hide_the_task(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
    client.upstream.answers["GetTask"] = RefusalError(grpc.StatusCode.UNAVAILABLE, "stopping")
    status, body, _ = await client.call(
        "POST", "/api/tasks", {"type": "a"}, headers={"Prefer": "wait=5"}
    )
    assert (status, body["id"]) == (202, "task_1")


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5),
        ("respond-async, WAIT = 7", 7),
        ('handling=lenient; x, wait="9"', 9),
        ("wait=600", 60),
        ("wait=0", 0),
        ("wait=soon", 0),
        ("await=5", 0),
        ("", 0),
    ],
)
def test_a_preference_that_is_none_is_no_error(prefer: str, seconds: int) -> None:
    assert preferred_wait_s(prefer) == seconds


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e"', "8e03978e"),
        ("order/7:a~!", "order/7:a~!"),
        ("x" * 255, "x" * 255),
        ('"%s"' % ("x" * 255), "x" * 255),
        ("  padded  ", "padded"),
    ],
)
async def test_a_header_names_the_request(client: Client, given: str, key: str) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
    status, _, headers = await client.call(
        "POST", "/api/tasks", {"type": "a"}, headers={"Idempotency-Key": given}
    )
    assert (status, "Idempotency-Replayed" in headers) == (202, False)
    assert client.upstream.last == CreateTaskRequest(
        type="a", request_id=key, value_format=JSON_TEXT
    )


async def test_a_request_without_a_name_has_none(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
    await client.call("POST", "/api/tasks", {"type": "a"})
    assert client.upstream.last == CreateTaskRequest(type="a", value_format=JSON_TEXT)


@pytest.mark.parametrize("given", ["", '""', "x" * 256, "two words", "é", '"open', "a\tb"])
async def test_a_header_that_names_nothing_is_refused(client: Client, given: str) -> None:
    status, body, _ = await client.call(
        "POST", "/api/tasks", {"type": "a"}, headers={"Idempotency-Key": given}
    )
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
    assert body["error"].startswith(
        "Idempotency-Key: expected 1 to 255 printable ASCII characters without spaces"
    )
    assert client.upstream.asked == []


async def test_two_names_are_none(client: Client) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    status, body, _ = await client.call("POST", "/api/tasks", {"type": "a"}, headers=headers)
    assert status == 400
    assert body["error"].endswith('got "a, b"')


@pytest.mark.parametrize("spelled", ["requestId", "request_id"])
async def test_the_header_and_the_field_may_say_the_same(client: Client, spelled: str) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING)
    body = {"type": "a", spelled: "order-7"}
    for headers in ({}, {"Idempotency-Key": "order-7"}, {"Idempotency-Key": '"order-7"'}):
        status, _, _ = await client.call("POST", "/api/tasks", body, headers=headers)
        assert status == 202
        assert client.upstream.last.request_id == "order-7"
    status, refusal, _ = await client.call(
        "POST", "/api/tasks", body, headers={"Idempotency-Key": "order-8"}
    )
    assert (status, refusal["details"]) == (400, {"field": "requestId"})
    assert refusal["error"] == (
        'requestId: expected the same as the header Idempotency-Key, or none, got "order-7"'
    )


@pytest.mark.parametrize(
    ("said", "prefer", "task", "status"),
    [
        ({}, "", WAITING, 202),
        ({}, "", DONE, 202),
        ({}, "wait=5", DONE, 200),
        ({"async": False}, "", DONE, 200),
    ],
)
async def test_a_replay_is_answered_as_the_first_request_was(
    client: Client, said: dict[str, Any], prefer: str, task: Task, status: int
) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=task, replayed=True)
    answered, body, headers = await client.call(
        "POST",
        "/api/tasks",
        {"type": "a", **said},
        headers={"Idempotency-Key": "order-7", "Prefer": prefer},
    )
    assert (answered, headers["Idempotency-Replayed"]) == (status, "true")
    assert (body["id"], headers["Location"]) == ("task_1", "/api/tasks/task_1")
    assert "replayed" not in body


async def test_a_replay_that_is_waited_for_is_still_one(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=WAITING, replayed=True)
    client.upstream.answers["GetTask"] = GetTaskResponse(task=DONE)
    status, _, headers = await client.call(
        "POST",
        "/api/tasks",
        {"type": "a"},
        headers={"Idempotency-Key": "order-7", "Prefer": "wait=5"},
    )
    assert (status, headers["Idempotency-Replayed"]) == (200, "true")


async def test_another_request_of_the_same_name_is_unprocessable(client: Client) -> None:
    details = Struct()
    details.update({"taskId": "task_1"})
    client.upstream.answers["CreateTask"] = RefusalError(
        grpc.StatusCode.ALREADY_EXISTS, "why", ErrorInfo(reason="REQUEST_ID_REUSED"), details
    )
    status, body, _ = await client.call(
        "POST", "/api/tasks", {"type": "a"}, headers={"Idempotency-Key": "order-7"}
    )
    assert (status, body["code"]) == (422, "REQUEST_ID_REUSED")
    assert body["details"] == {"taskId": "task_1"}
