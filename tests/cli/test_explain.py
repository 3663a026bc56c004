"""``inferry explain`` against a channel on which the test plays the gateway."""

import json
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from inferry.cli import output
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import ExplainTaskRequest, ExplainTaskResponse, ServerVerdict
from tests.cli.play import Play, rpc

ANSWER = ExplainTaskResponse(
    id="task_1",
    status=Task.PENDING,
    reason=ExplainTaskResponse.NO_FREE_SERVER,
    text="Two servers are capable of it, but none can take a task now.",
    remedy="Wait for a slot, or register another server.",
    queue_position=3,
    estimated_start_at=Timestamp(seconds=1_769_860_800),
    servers=[
        ServerVerdict(
            server_id="srv_1",
            name="gpu-1",
            rule=ServerVerdict.FULL,
            text="All of its 10 slots are taken.",
            remedy="It takes the next task when one of its own ends.",
        ),
        ServerVerdict(
            server_id="srv_2",
            name="gpu-2\x1b[2J",
            rule=ServerVerdict.BREAKER_OPEN,
            text="3 calls in a row failed.",
            until=Timestamp(seconds=1_769_860_860),
        ),
    ],
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(
        force_terminal=True, width=120, soft_wrap=True, highlight=False, color_system="standard"
    )
    monkeypatch.setattr(output, "OUT", console)


def explained(play: Play, answer: ExplainTaskResponse, *given: str) -> str:
    play.run("explain", "task_1", *given)
    assert play.answer(rpc("ExplainTask"), answer, ExplainTaskRequest).id == "task_1"
    assert play.result().exit_code == 0
    return str(play.result().stdout)


def test_in_a_pipe_it_is_fields_and_then_a_line_a_server(play: Play) -> None:
    lines = [line.split("\t") for line in explained(play, ANSWER).splitlines()]
    assert lines == [
        ["id", "task_1"],
        ["status", "PENDING"],
        ["reason", "NO_FREE_SERVER"],
        ["text", "Two servers are capable of it, but none can take a task now."],
        ["remedy", "Wait for a slot, or register another server."],
        ["queuePosition", "3"],
        ["estimatedStartAt", "2026-01-31T12:00:00.000Z"],
        [""],
        ["SERVER", "RULE", "WHY", "WHAT WOULD CHANGE IT", "UNTIL"],
        [
            "gpu-1",
            "FULL",
            "All of its 10 slots are taken.",
            "It takes the next task when one of its own ends.",
            "-",
        ],
        ["gpu-2 [2J", "BREAKER_OPEN", "3 calls in a row failed.", "-", "2026-01-31T12:01:00.000Z"],
    ]


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_reason_comes_first_and_in_colour(play: Play) -> None:
    answer = ExplainTaskResponse()
    answer.CopyFrom(ANSWER)
    answer.estimated_start_at.seconds = int(time.time()) + 3_600
    shown = explained(play, answer)
    head, text, remedy, place, _, table_head, *_ = shown.splitlines()
    assert head == "task_1  PENDING  \x1b[1;33mNO FREE SERVER\x1b[0m"
    assert text == "Two servers are capable of it, but none can take a task now."
    assert remedy == "→ Wait for a slot, or register another server."
    assert place == "Place 3 in the queue, starts in about 60 min"
    assert "WHAT WOULD CHANGE IT" in table_head
    assert "\x1b[33mFULL" in shown
    # What a backend calls itself does not reach the terminal as an order.
    assert "\x1b[2J" not in shown


@pytest.mark.usefixtures("terminal")
def test_a_task_that_ended_has_no_table(play: Play) -> None:
    answer = ExplainTaskResponse(
        id="task_1",
        status=Task.COMPLETED,
        reason=ExplainTaskResponse.ENDED,
        text="It completed.",
    )
    shown = explained(play, answer)
    assert shown.splitlines() == [
        "task_1  COMPLETED  \x1b[1;32mENDED\x1b[0m",
        "It completed.",
    ]


def test_as_json_it_is_what_rest_shows(play: Play) -> None:
    shown = json.loads(explained(play, ANSWER, "--json"))
    assert (shown["reason"], shown["queuePosition"]) == ("NO_FREE_SERVER", 3)
    full, broken = shown["servers"]
    assert (full["serverId"], full["rule"]) == ("srv_1", "FULL")
    assert "remedy" not in broken
    assert broken["until"] == "2026-01-31T12:01:00.000Z"
