"""Tables fit a terminal of 80 columns and are read by people; pipes get all there is."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len
from rich.console import Console

from inferry.cli import output, tables
from inferry.cli.output import NOTHING, print_rows, short
from inferry.cli.tables import print_attempts, print_servers, print_tasks
from inferry.cli.webhooks import tables as webhook_tables
from inferry.cli.webhooks.tables import print_deliveries, print_webhooks
from inferry.v1.queue_pb2 import TypeQueue
from inferry.v1.queue_service_pb2 import GetQueueResponse
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import ListServersRequest, ListServersResponse
from inferry.v1.task_pb2 import Attempt, Task
from inferry.v1.task_service_pb2 import (
    ListAttemptsRequest,
    ListAttemptsResponse,
    ListTasksRequest,
    ListTasksResponse,
)
from inferry.v1.webhook_pb2 import Delivery, DeliveryAttempt, Webhook
from tests.cli.play import Play, rpc

NOW_S = 1_769_860_800
#: As long as they are in earnest.
TASK_ID, SERVER_ID, HOOK_ID = (f"{kind}_{'01JQ' * 6}ZZ" for kind in ("task", "srv", "whk"))
LONG = "text-to-video-with-a-very-long-name-of-its-own"


def ago(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(NOW_S - seconds))


TASKS = [
    Task(
        id=TASK_ID,
        type=LONG,
        status=Task.PROCESSING,
        progress=45,
        server_id=SERVER_ID,
        created_at=ago(725),
    ),
    Task(
        id=TASK_ID,
        type="video",
        status=Task.PENDING,
        queue_position=1234,
        queue_position_at_least=True,
        estimated_start_at=ago(-7_300),
        created_at=ago(40),
    ),
    Task(id=TASK_ID, type="a", status=Task.FAILED, server_id="srv_GONE", created_at=ago(90_000)),
]
SERVER = Server(
    id=SERVER_ID,
    name="a-server-with-quite-a-name-of-its-own",
    status=Server.RESTING,
    retry_at=ago(-30),
    breaker=Server.OPEN,
    active=1_000,
    max_concurrent=10_000,
    url="http://gpu-1.internal.example.com:8080/backend",
    capabilities=["video-processing", "image-processing", LONG],
    last_error="the connection was refused: " * 5,
)
ATTEMPTS = [
    Attempt(
        number=1,
        server_id=SERVER_ID,
        outcome=Attempt.AMBIGUOUS,
        started_at=ago(600),
        ended_at=ago(590),
        error="it broke off in the middle of the answer, and nobody can tell what became of it",
    ),
    Attempt(number=2, server_id=SERVER_ID, outcome=Attempt.RUNNING, started_at=ago(20)),
]
HOOK = Webhook(
    id=HOOK_ID,
    url="https://receiver.example.com/a/long/path/of/its/own",
    events=["started", "progress", "completed"],
    types=[LONG],
    labels={"team": "vision", "job": "a-long-name-of-a-job"},
    disabled_reason="it answered 410 Gone",
)
DELIVERY = Delivery(
    webhook_id=HOOK_ID,
    seq=12,
    event="task.completed",
    state=Delivery.WAITING,
    tries=3,
    next_attempt_at=ago(-300),
    attempts=[DeliveryAttempt(status_code=503, answer="no upstream is there to be asked " * 3)],
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns, and a clock that stands still."""
    kind = Console(force_terminal=True, width=80, soft_wrap=True, color_system=None)
    monkeypatch.setattr(output, "OUT", kind)
    for module in (tables, webhook_tables):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: float(NOW_S)))


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("draw", "whole"),
    [
        (lambda: print_tasks(TASKS, {SERVER_ID: SERVER.name}), [TASK_ID]),
        (lambda: print_attempts(ATTEMPTS, {SERVER_ID: SERVER.name}), ["AMBIGUOUS"]),
        (lambda: print_servers([SERVER]), [SERVER_ID]),
        (lambda: print_webhooks([HOOK]), [HOOK_ID]),
        (lambda: print_deliveries([DELIVERY]), [HOOK_ID, "WAITING"]),
    ],
    ids=["tasks", "attempts", "servers", "webhooks", "deliveries"],
)
def test_a_table_fits_a_terminal_of_80_columns_with_whole_ids(
    draw: Callable[[], None], whole: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    draw()
    shown = capsys.readouterr().out
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert all(text in shown for text in whole)


@pytest.mark.usefixtures("terminal")
def test_tasks_are_shown_with_their_servers_names_their_age_and_how_far_they_are(
    play: Play,
) -> None:
    play.run("list")
    play.answer(rpc("ListTasks"), ListTasksResponse(tasks=TASKS), ListTasksRequest)
    servers = [Server(id=SERVER_ID, name="gpu-1")]
    play.answer(rpc("ListServers"), ListServersResponse(servers=servers), ListServersRequest)
    head, runs, waits, failed = (line.split() for line in play.result().stdout.splitlines())
    assert head == ["ID", "TYPE", "STATUS", "PROGRESS", "SERVER", "AGE"]
    assert runs[2:] == ["PROCESSING", "45%", "gpu-1", "12m"]
    assert waits[1:] == ["video", "PENDING", "#1234+", "in", "2h", NOTHING, "40s"]
    # Of a server that is gone, what tells it from others.
    assert failed[2:] == ["FAILED", NOTHING, "…v_GONE", "25h"]


@pytest.mark.usefixtures("terminal")
def test_a_table_does_without_the_names_that_it_cannot_have(play: Play) -> None:
    play.run("attempts", "task_1")
    answer = ListAttemptsResponse(attempts=ATTEMPTS)
    play.answer(rpc("ListAttempts"), answer, ListAttemptsRequest)
    play.refuse(rpc("ListServers"), grpc.StatusCode.UNAVAILABLE, None)
    assert play.result().exit_code == 0
    assert f"…{SERVER_ID[-6:]}" in play.result().stdout


@pytest.mark.usefixtures("terminal")
def test_a_server_s_address_and_error_stand_whole_below_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_servers([SERVER, Server(id="srv_2", name="b", breaker=Server.OPEN, retry_at=ago(-61))])
    _, first, *below, last = capsys.readouterr().out.splitlines()
    assert re.search(r"resting 30s +1000/10000", first)
    said = " ".join(" ".join(below).split())
    assert said == f"{SERVER.url} {SERVER.last_error.strip()}"
    assert re.search(r"breaker open 61s +0/0 +any", last)


@pytest.mark.usefixtures("terminal")
def test_columns_that_say_nothing_are_left_out(play: Play) -> None:
    play.run("queue")
    found = GetQueueResponse(waiting=1, limit=10, types=[TypeQueue(type="video", waiting=1)])
    play.answer(rpc("GetQueue"), found, object)
    assert play.result().stdout.splitlines()[3].split() == ["TYPE", "WAITING", "DELAYED"]


def test_no_names_are_asked_for_in_a_pipe_or_as_json(play: Play) -> None:
    play.run("list")
    play.answer(rpc("ListTasks"), ListTasksResponse(tasks=TASKS), ListTasksRequest)
    row = play.result().stdout.splitlines()[1].split("\t")
    assert (row[1], row[4], row[5][:10]) == (LONG, SERVER_ID, row[5][:10])
    assert row[5].endswith("Z")


@pytest.mark.usefixtures("terminal")
def test_json_on_a_terminal_asks_for_no_names(play: Play) -> None:
    play.run("list", "--json")
    play.answer(rpc("ListTasks"), ListTasksResponse(tasks=TASKS), ListTasksRequest)
    assert json.loads(play.result().stdout)["tasks"][0]["serverId"] == SERVER_ID


@pytest.mark.usefixtures("terminal")
def test_the_widest_column_that_may_be_cut_is_cut_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows(("ID", "A", "B"), [("i" * 40, "a" * 60, "b" * 10)], {"A": 8, "B": 8})
    assert capsys.readouterr().out.splitlines()[1] == f"{'i' * 40}  {'a' * 25}…  {'b' * 10}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0.5, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (200_000, "2d")],
)
def test_a_span_of_time_is_spelled_as_options_take_it(seconds: float, text: str) -> None:
    assert short(seconds) == text


COLOURED = """
from inferry.cli.tables import print_tasks
from inferry.v1.task_pb2 import Task
print_tasks([Task(id="task_1", type="t", status=Task.COMPLETED)], {})
"""


def drawn(**variables: str) -> str:
    """Tells what a table sends to a real terminal."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", **variables}
    with os.fdopen(ours, "rb", buffering=0) as seen:
        try:
            subprocess.run(
                [sys.executable, "-c", COLOURED], stdout=theirs, env=environment, check=True
            )
            return seen.read(4_096).decode()
        finally:
            os.close(theirs)


def test_a_status_has_its_colour_on_a_terminal_unless_nobody_wants_colours() -> None:
    assert "\x1b[32mCOMPLETED" in drawn()
    assert "\x1b[32m" not in drawn(NO_COLOR="1")
    piped = subprocess.run([sys.executable, "-c", COLOURED], check=True, capture_output=True)
    assert b"\x1b" not in piped.stdout
