"""The commands against a channel on which the test plays the gateway."""

import json

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.v1.task_pb2 import Attempt, Task, TaskEvent
from inferry.v1.task_service_pb2 import (
    GetTaskRequest,
    GetTaskResponse,
    ListAttemptsResponse,
    ListTasksRequest,
    ListTasksResponse,
)
from tests.cli.play import Play, ended, rpc

TASK = Task(id="task_1", type="test-processing", status=Task.PENDING)
STARTS = Timestamp(seconds=1_769_860_800)


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


def test_a_task_that_waits_is_shown_with_its_place_and_when_it_will_start(play: Play) -> None:
    task = ended(Task.PENDING, queue_position=3, estimated_start_at=STARTS)
    play.run("get", "task_1")
    play.answer(rpc("GetTask"), GetTaskResponse(task=task), GetTaskRequest)
    lines = [line.split("\t") for line in play.result().stdout.splitlines()]
    assert ["queuePosition", "3"] in lines
    assert ["estimatedStartAt", "2026-01-31T12:00:00.000Z"] in lines

    play.run("list")
    tasks = [task, ended(Task.PROCESSING)]
    play.answer(rpc("ListTasks"), ListTasksResponse(tasks=tasks), ListTasksRequest)
    places = [line.split("\t")[6:] for line in play.result().stdout.splitlines()]
    assert places == [["PLACE", "STARTS"], ["3", "2026-01-31T12:00:00.000Z"], ["-", "-"]]


WITHIN = ("--fingerprint", "0" * 16, "--created-since", "1h", "--finished-since", "590s")


def test_list_asks_page_after_page_for_no_more_than_wanted(play: Play) -> None:
    given = "--status failed --type t --server srv_1 --limit 501 --label job=7"
    play.run("list", *given.split(), "--code", "BROKEN", "--tenant", "acme", *WITHIN)
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
    assert dict(first.labels) == {"job": "7"}
    assert (first.code, first.tenant, first.fingerprint) == ("BROKEN", "acme", "0" * 16)
    assert 0 < first.finished_since.seconds - first.created_since.seconds - 3_000 < 20
    assert (second.page_size, second.page_token) == (1, "more")
    lines = play.result().stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["ID", "TYPE", "STATUS"]
    assert lines[1].split("\t")[:3] == ["task_1", "test-processing", "PENDING"]
    assert len(lines) == 502


def test_a_list_that_goes_round_in_a_circle_has_an_end(play: Play) -> None:
    play.run("list", "--limit", "1000000")
    for _ in range(2):
        again = ListTasksResponse(tasks=[TASK], next_page_token="again")
        play.answer(rpc("ListTasks"), again, ListTasksRequest)
    assert play.result().exit_code == 5
    assert "was there before" in play.result().stderr


def test_attempts_are_a_line_each(play: Play) -> None:
    attempt = Attempt(number=1, server_id="srv_1", outcome=Attempt.REFUSED, error="no\nroom")
    play.run("attempts", "task_1")
    play.answer(rpc("ListAttempts"), ListAttemptsResponse(attempts=[attempt]), object)
    row = play.result().stdout.splitlines()[1].split("\t")
    assert (row[0], row[1], row[2], row[4], row[5]) == ("1", "srv_1", "REFUSED", "-", "no room")


@pytest.mark.parametrize(
    ("code", "reason", "exit_code", "text"),
    [
        (grpc.StatusCode.UNAVAILABLE, None, 4, "cannot reach the gateway at gateway.example:1"),
        (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", 4, "refused: no (UNAVAILABLE)"),
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", 5, "refused: no (UNAUTHENTICATED)"),
        (grpc.StatusCode.NOT_FOUND, "GONE", 5, "refused: no (GONE)"),
        (grpc.StatusCode.INTERNAL, None, 4, "cannot reach the gateway at gateway.example:1"),
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
        ["submit", "t", "--total-timeout", "25d"],
        ["submit", "t", "--queue-timeout", "0"],
        ["submit", "t", "--max-attempts", "0"],
        ["list", "--status", "NEVER"],
        ["retry"],
        ["retry", "task_1", "--all"],
        ["retry", "task_1", "--type", "t"],
        ["retry", "--all", "--status", "COMPLETED"],
        ["pause"],
        ["deregister", "srv_1", "--grace", "soon"],
        ["get"],
        ["fly"],
    ],
)
def test_wrong_usage_is_refused_before_any_call(play: Play, arguments: list[str]) -> None:
    play.run(*arguments)
    assert play.result().exit_code == 2
