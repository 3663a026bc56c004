"""``inferry cancel`` against a channel on which the test plays the gateway."""

import json
import time

import grpc
import pytest

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    CancelTaskRequest,
    CancelTaskResponse,
    CancelTasksRequest,
    CancelTasksResponse,
)
from tests.cli.play import Play, ended, rpc

MANY = rpc("CancelTasks")


def test_one_task_is_shown_as_it_is_then(play: Play) -> None:
    play.run("cancel", "task_1", "--reason", "enough", "--json")
    response = CancelTaskResponse(task=ended(Task.CANCELLED))
    request = play.answer(rpc("CancelTask"), response, CancelTaskRequest)
    assert (request.id, request.reason) == ("task_1", "enough")
    assert play.result().exit_code == 0
    assert json.loads(play.result().stdout)["status"] == "CANCELLED"


def test_all_that_fit_are_cancelled_page_after_page(play: Play) -> None:
    play.run("cancel", "--label", "job=7", "--type", "t", "--reason", "enough", "--limit", "1001")
    page = CancelTasksResponse(cancelled=1_000, next_page_token="more")
    first = play.answer(MANY, page, CancelTasksRequest)
    second = play.answer(MANY, CancelTasksResponse(cancelled=1), CancelTasksRequest)
    wanted = CancelTasksRequest(type="t", labels={"job": "7"}, reason="enough", limit=1_000)
    assert first == wanted
    assert (second.limit, second.page_token) == (1, "more")
    assert play.result().exit_code == 0
    assert play.result().stdout == "1,001 tasks were cancelled\n"


def test_an_admin_cancels_what_a_tenant_created_of_late(play: Play) -> None:
    now_s = time.time()
    play.run("cancel", "--tenant", "acme", "--created-since", "5m")
    request = play.answer(MANY, CancelTasksResponse(cancelled=1), CancelTasksRequest)
    assert request.tenant == "acme"
    assert abs(request.created_since.seconds - (now_s - 300)) < 20
    assert play.result().stdout == "1 task was cancelled\n"


def test_an_error_in_the_middle_still_says_how_many_were_cancelled(play: Play) -> None:
    play.run("cancel", "--status", "pending")
    page = CancelTasksResponse(cancelled=1_000, next_page_token="more")
    assert play.answer(MANY, page, CancelTasksRequest).status == Task.PENDING
    play.refuse(MANY, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert play.result().exit_code == 4
    assert "1,000 tasks were cancelled" in play.result().stderr


@pytest.mark.parametrize(
    "arguments", [[], ["--limit", "5"], ["task_1", "--label", "job=7"], ["--label", "job"]]
)
def test_it_takes_one_task_or_what_to_pick_from(play: Play, arguments: list[str]) -> None:
    play.run("cancel", *arguments)
    assert play.result().exit_code == 2
