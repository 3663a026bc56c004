"""``inferry retry`` against a channel on which the test plays the gateway."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import grpc
import pytest

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    RetryTaskRequest,
    RetryTaskResponse,
    RetryTasksRequest,
    RetryTasksResponse,
)
from tests.cli.play import Play, ended, rpc

INFERRY = Path(sys.executable).with_name("inferry")
WITHIN_S = 30
ALL = rpc("RetryTasks")


def test_one_task_is_shown_as_it_is_then(play: Play) -> None:
    play.run("retry", "task_1", "--json")
    response = RetryTaskResponse(task=ended(Task.PENDING))
    assert play.answer(rpc("RetryTask"), response, RetryTaskRequest).id == "task_1"
    assert play.result().exit_code == 0
    assert json.loads(play.result().stdout)["status"] == "PENDING"


def test_all_failed_tasks_are_started_again_page_after_page(play: Play) -> None:
    play.run("retry", "--all")
    page = RetryTasksResponse(retried=1_000, next_page_token="more")
    first = play.answer(ALL, page, RetryTasksRequest)
    second = play.answer(ALL, RetryTasksResponse(retried=234), RetryTasksRequest)
    assert first == RetryTasksRequest(status=Task.FAILED, limit=1_000)
    assert second == RetryTasksRequest(status=Task.FAILED, limit=1_000, page_token="more")
    assert play.result().exit_code == 0
    assert play.result().stdout == "1,234 tasks were started again\n"


def test_what_is_started_again_can_be_narrowed_and_limited(play: Play) -> None:
    narrowed = "--status timeout --type t --server srv_1 --code INTERNAL_ERROR --limit 1001"
    narrowed += " --label job=7 --label team=a"
    play.run("retry", "--all", *narrowed.split(), "--json")
    page = RetryTasksResponse(retried=1_000, next_page_token="more")
    first = play.answer(ALL, page, RetryTasksRequest)
    page = RetryTasksResponse(retried=1, next_page_token="even more")
    second = play.answer(ALL, page, RetryTasksRequest)
    assert first == RetryTasksRequest(
        status=Task.TIMEOUT,
        type="t",
        server_id="srv_1",
        code="INTERNAL_ERROR",
        labels={"job": "7", "team": "a"},
        limit=1_000,
    )
    assert second.limit == 1
    assert json.loads(play.result().stdout) == {"retried": 1_001, "queueFull": False}


def test_a_full_queue_stops_it_with_what_to_do(play: Play) -> None:
    play.run("retry", "--all")
    page = RetryTasksResponse(retried=1, next_page_token="more", queue_full=True)
    play.answer(ALL, page, RetryTasksRequest)
    assert play.result().exit_code == 5
    assert play.result().stdout == "1 task was started again\n"
    assert play.result().stderr.startswith("stopped: the queue is full.")


def test_what_is_started_again_can_be_a_group_of_failures_of_late(play: Play) -> None:
    narrowed = "--fingerprint 0123456789abcdef --tenant acme --created-since 2h --finished-since 1m"
    now_s = time.time()
    play.run("retry", "--all", *narrowed.split())
    request = play.answer(ALL, RetryTasksResponse(retried=2), RetryTasksRequest)
    assert play.result().stdout == "2 tasks were started again\n"
    assert (request.fingerprint, request.tenant) == ("0123456789abcdef", "acme")
    assert 0 <= request.created_since.ToSeconds() - (now_s - 7_200) + 1 < WITHIN_S
    assert 0 <= request.finished_since.ToSeconds() - (now_s - 60) + 1 < WITHIN_S


@pytest.mark.parametrize(
    "given",
    [("--fingerprint", "0" * 16), ("--tenant", "a"), ("--finished-since", "1h")],
)
def test_what_narrows_many_says_nothing_of_one(play: Play, given: tuple[str, ...]) -> None:
    play.run("retry", "task_1", *given)
    assert play.result().exit_code == 2


def test_a_time_that_no_calendar_has_is_refused(play: Play) -> None:
    play.run("retry", "--all", "--created-since", "9999999d")
    assert play.result().exit_code == 2
    assert "no calendar goes back so far" in play.result().stderr


def test_an_error_in_the_middle_still_says_how_many_were_started_again(play: Play) -> None:
    play.run("retry", "--all")
    page = RetryTasksResponse(retried=1_000, next_page_token="more")
    play.answer(ALL, page, RetryTasksRequest)
    play.refuse(ALL, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert play.result().exit_code == 4
    assert "1,000 tasks were started again" in play.result().stderr


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ((), "Start all FAILED tasks again?"),
        (
            ("--type", "t", "--code", "X", "--limit", "5"),
            "Start the newest 5 FAILED tasks of type t with code X again?",
        ),
        (
            ("--tenant", "acme", "--fingerprint", "0" * 16),
            f"Start all FAILED tasks of tenant acme of the failures {'0' * 16} again?",
        ),
        (("--finished-since", "1h"), "Start all FAILED tasks ended since 20"),
    ],
)
async def test_it_asks_first_on_a_terminal(given: tuple[str, ...], question: str) -> None:
    ours, theirs = os.openpty()
    try:
        # Nobody listens there: "no" is to end it before it calls anybody.
        nowhere = ("--address", "127.0.0.1:1", "--token", "t")
        process = await asyncio.create_subprocess_exec(
            INFERRY, *nowhere, "retry", "--all", *given, stdin=theirs, stdout=PIPE, stderr=PIPE
        )
        os.write(ours, b"n\n")
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, out.strip()) == (1, b"")
    assert question in err.decode()
