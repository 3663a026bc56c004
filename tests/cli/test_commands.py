"""The commands against a channel on which the test plays the gateway."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct, Value

from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import DrainServerResponse, ListServersResponse
from inferry.v1.task_pb2 import Attempt, Task, TaskEvent
from inferry.v1.task_service_pb2 import (
    CancelTaskResponse,
    CreateTaskRequest,
    CreateTaskResponse,
    GetTaskRequest,
    GetTaskResponse,
    ListAttemptsResponse,
    ListTasksRequest,
    ListTasksResponse,
    RetryTaskResponse,
)
from tests.cli.play import Play, rpc

TASK = Task(id="task_1", type="test-processing", status=Task.PENDING)


def ended(status: Task.Status.ValueType, **fields: Any) -> Task:
    return Task(id="task_1", type="test-processing", status=status, **fields)


@pytest.fixture
def play() -> Iterator[Play]:
    with ThreadPoolExecutor(1) as pool:
        yield Play(pool)


def test_submit_creates_an_asynchronous_task_and_prints_its_id(play: Play) -> None:
    play.run("submit", "test-processing", '{"test": "data"}')
    request = play.answer(rpc("CreateTask"), CreateTaskResponse(task=TASK), CreateTaskRequest)
    assert (play.result().exit_code, play.result().stdout) == (0, "task_1\n")
    payload = Struct()
    payload.update({"test": "data"})
    assert request == CreateTaskRequest(type="test-processing", payload=payload, asynchronous=True)
    assert play.metadata["authorization"] == "Bearer secret"


def test_submit_sends_every_option(play: Play) -> None:
    options = "--timeout 90s --priority 9 --label a=b --label c=d --capability gpu --capability x"
    play.run("submit", "t", *options.split())
    request = play.answer(rpc("CreateTask"), CreateTaskResponse(task=TASK), CreateTaskRequest)
    assert (request.timeout_ms, request.priority) == (90_000, 9)
    assert dict(request.labels) == {"a": "b", "c": "d"}
    assert list(request.capabilities) == ["gpu", "x"]
    assert play.result().exit_code == 0


def test_submit_sync_prints_the_result_alone(play: Play) -> None:
    result = Value()
    result.struct_value.update({"n": 3, "x": 0.5})
    play.run("submit", "t", "--sync")
    request = play.answer(
        rpc("CreateTask"),
        CreateTaskResponse(task=ended(Task.COMPLETED, result=result)),
        CreateTaskRequest,
    )
    assert not request.asynchronous
    assert play.result().exit_code == 0
    assert json.loads(play.result().stdout) == {"n": 3, "x": 0.5}
    assert "3.0" not in play.result().stdout


@pytest.mark.parametrize(
    ("status", "exit_code"), [(Task.FAILED, 1), (Task.TIMEOUT, 3), (Task.CANCELLED, 3)]
)
def test_a_task_that_did_not_complete_is_told_on_standard_error_and_by_the_exit_status(
    play: Play, status: Task.Status.ValueType, exit_code: int
) -> None:
    task = ended(status, error="out of paint\x1b[2J", code="RESOURCE_LIMIT")
    play.run("submit", "t", "--sync")
    play.answer(rpc("CreateTask"), CreateTaskResponse(task=task), CreateTaskRequest)
    assert play.result().exit_code == exit_code
    assert play.result().stdout == ""
    assert f"{Task.Status.Name(status)}: out of paint" in play.result().stderr
    assert "(RESOURCE_LIMIT)" in play.result().stderr
    assert "\x1b" not in play.result().stderr


def test_submit_follow_shows_each_event_and_prints_the_result(play: Play) -> None:
    done = ended(Task.COMPLETED, result=Value(string_value="done"))
    play.run("submit", "t", "--follow")
    play.answer(rpc("CreateTask"), CreateTaskResponse(task=TASK), CreateTaskRequest)
    play.stream(
        TaskEvent(seq=1, kind=TaskEvent.CREATED, status=Task.PENDING),
        TaskEvent(
            seq=2,
            kind=TaskEvent.PROGRESSED,
            status=Task.PROCESSING,
            progress=45,
            message="frames",
        ),
        TaskEvent(seq=3, kind=TaskEvent.FINISHED, status=Task.COMPLETED, progress=45, task=done),
    )
    assert play.result().exit_code == 0
    assert json.loads(play.result().stdout) == "done"
    assert play.result().stderr.splitlines() == [
        "1 CREATED PENDING 0%",
        "2 PROGRESSED PROCESSING 45% frames",
        "3 FINISHED COMPLETED 45%",
    ]


def test_watch_prints_a_line_of_json_an_event(play: Play) -> None:
    play.run("watch", "task_1", "--json")
    play.stream(
        TaskEvent(task_id="task_1", seq=1, kind=TaskEvent.CREATED, status=Task.PENDING),
        TaskEvent(task_id="task_1", seq=2, kind=TaskEvent.FINISHED, status=Task.CANCELLED),
    )
    play.answer(rpc("GetTask"), GetTaskResponse(task=ended(Task.CANCELLED)), GetTaskRequest)
    assert play.result().exit_code == 3
    events = [json.loads(line) for line in play.result().stdout.splitlines()]
    assert [(event["seq"], event["kind"]) for event in events] == [(1, "CREATED"), (2, "FINISHED")]


def test_get_shows_the_task_and_may_wait(play: Play) -> None:
    play.run("get", "task_1", "--wait", "5")
    request = play.answer(
        rpc("GetTask"), GetTaskResponse(task=ended(Task.FAILED, error="no")), GetTaskRequest
    )
    assert (request.id, request.wait_seconds) == ("task_1", 5)
    assert play.result().exit_code == 0
    lines = [line.split("\t") for line in play.result().stdout.splitlines()]
    assert ["status", "FAILED"] in lines
    assert ["error", "no"] in lines


def test_get_prints_json_as_the_rest_interface_does(play: Play) -> None:
    task = ended(Task.PROCESSING, progress=45, timeout_ms=30_000, asynchronous=True)
    play.run("get", "task_1", "--json")
    play.answer(rpc("GetTask"), GetTaskResponse(task=task), GetTaskRequest)
    shown = json.loads(play.result().stdout)
    assert (shown["id"], shown["status"], shown["async"]) == ("task_1", "PROCESSING", True)
    assert (shown["progress"], shown["timeout"]) == (45, 30_000)
    assert "error" not in shown


def test_list_asks_page_after_page_for_no_more_than_wanted(play: Play) -> None:
    play.run("list", "--status", "failed", "--type", "t", "--server", "srv_1", "--limit", "501")
    first = play.answer(
        rpc("ListTasks"),
        ListTasksResponse(tasks=[TASK] * 500, next_page_token="more"),
        ListTasksRequest,
    )
    second = play.answer(
        rpc("ListTasks"),
        ListTasksResponse(tasks=[TASK], next_page_token="even more"),
        ListTasksRequest,
    )
    assert (first.status, first.type, first.server_id) == (Task.FAILED, "t", "srv_1")
    assert (second.page_size, second.page_token) == (1, "more")
    lines = play.result().stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["ID", "TYPE", "STATUS"]
    assert lines[1].split("\t")[:3] == ["task_1", "test-processing", "PENDING"]
    assert len(lines) == 502


@pytest.mark.parametrize(
    ("command", "method", "response"),
    [
        ("cancel", "CancelTask", CancelTaskResponse(task=TASK)),
        ("retry", "RetryTask", RetryTaskResponse(task=TASK)),
    ],
)
def test_cancel_and_retry_show_the_task(
    play: Play, command: str, method: str, response: Any
) -> None:
    play.run(command, "task_1", "--json")
    request = play.answer(rpc(method), response, object)
    assert "task_1" in str(request)
    assert play.result().exit_code == 0
    assert json.loads(play.result().stdout)["id"] == "task_1"


def test_attempts_are_a_line_each(play: Play) -> None:
    attempt = Attempt(number=1, server_id="srv_1", outcome=Attempt.REFUSED, error="no\nroom")
    play.run("attempts", "task_1")
    play.answer(rpc("ListAttempts"), ListAttemptsResponse(attempts=[attempt]), object)
    row = play.result().stdout.splitlines()[1].split("\t")
    assert (row[0], row[1], row[2], row[4], row[5]) == ("1", "srv_1", "REFUSED", "-", "no room")


def test_servers_are_listed_with_their_status_as_rest_says_it(play: Play) -> None:
    server = Server(id="srv_1", name="gpu", status=Server.ACTIVE, active=2, max_concurrent=10)
    play.run("servers", "--json")
    play.answer(
        rpc("ListServers"),
        ListServersResponse(servers=[server], next_page_token="more"),
        object,
    )
    play.answer(rpc("ListServers"), ListServersResponse(), object)
    (shown,) = json.loads(play.result().stdout)
    assert (shown["id"], shown["status"], shown["maxConcurrent"]) == ("srv_1", "active", 10)


def test_drain_shows_the_server(play: Play) -> None:
    server = Server(id="srv_1", name="gpu", status=Server.DRAINING, max_concurrent=10)
    play.run("drain", "srv_1")
    play.answer(rpc("DrainServer"), DrainServerResponse(server=server), object)
    assert play.result().stdout.splitlines()[1].split("\t")[2] == "draining"


@pytest.mark.parametrize(
    ("code", "reason", "exit_code", "text"),
    [
        (grpc.StatusCode.UNAVAILABLE, None, 4, "cannot reach the gateway at gateway.example:1"),
        (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", 4, "refused: no (UNAVAILABLE)"),
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", 5, "refused: no (UNAUTHENTICATED)"),
        (grpc.StatusCode.NOT_FOUND, "GONE", 5, "refused: no (GONE)"),
        (grpc.StatusCode.INTERNAL, None, 5, "refused: no (INTERNAL)"),
    ],
)
def test_a_refusal_says_why_and_sets_the_exit_status(
    play: Play, code: grpc.StatusCode, reason: str | None, exit_code: int, text: str
) -> None:
    play.run("get", "task_1")
    play.refuse(rpc("GetTask"), code, reason)
    assert play.result().exit_code == exit_code
    assert text in play.result().stderr
    assert play.result().stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "t", "{"],
        ["submit", "t", "--sync", "--follow"],
        ["submit", "t", "--timeout", "30"],
        ["submit", "t", "--label", "a"],
        ["submit", "t", "--priority", "10"],
        ["list", "--status", "NEVER"],
        ["get"],
        ["fly"],
    ],
)
def test_wrong_usage_is_refused_before_any_call(play: Play, arguments: list[str]) -> None:
    play.run(*arguments)
    assert play.result().exit_code == 2
