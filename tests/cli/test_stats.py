"""``inferry stats`` and ``inferry failures``: what is asked, and tables of 80 columns."""

import json
import time
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from inferry.cli import output
from inferry.v1.stats_service_pb2 import (
    FailureGroup,
    GetStatsRequest,
    GetStatsResponse,
    ListFailuresRequest,
    ListFailuresResponse,
)
from tests.cli.play import Play, rpc

NEW_YEAR_S = 1_767_225_600
STATS = GetStatsResponse(
    from_time=Timestamp(seconds=NEW_YEAR_S),
    step=300,
    types=["image", "video"],
    created=[301, 0, -1],
    completed=[99_999, 0, -1],
    failed=[10_000, 0, -1],
    cancelled=[1, 0, -1],
    waiting=[2_000_000, 0, -1],
    running=[8, 0, -1],
    wait_p50_ms=[1, -1, -1],
    wait_p95_ms=[1_234, 12, -1],
    wait_p99_ms=[1, -1, -1],
    run_p50_ms=[1, -1, -1],
    run_p95_ms=[86_400_000, 90_000, -1],
    run_p99_ms=[1, -1, -1],
)
GROUP = FailureGroup(
    type="video-processing",
    code="INTERNAL_ERROR",
    message="gave up after <n> s " * 15,
    count=12,
    first_seen=Timestamp(seconds=NEW_YEAR_S),
    last_seen=Timestamp(seconds=NEW_YEAR_S + 3_660),
    sample_task_id="task_1",
    fingerprint="0123456789abcdef",
    counts=[12],
)
FAILURES = ListFailuresResponse(
    from_time=Timestamp(seconds=NEW_YEAR_S),
    step=1_800,
    groups=[GROUP, FailureGroup(type="a", count=1, fingerprint="f" * 16)],
    more=True,
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    kind = Console(force_terminal=True, width=80, soft_wrap=True, color_system=None)
    monkeypatch.setattr(output, "OUT", kind)


def shown(play: Play, command: str, response: Any, kind: type[Any], *more: str) -> list[str]:
    play.run(command, *more)
    method = {GetStatsRequest: "GetStats", ListFailuresRequest: "ListFailures"}[kind]
    play.answer(rpc(method), response, kind)
    result = play.result()
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_figures_are_rows_with_what_is_not_known_left_open(play: Play) -> None:
    lines = shown(play, "stats", STATS, GetStatsRequest)
    head = ["UTC", "CREATED", "DONE", "FAILED", "CANCELLED", "WAITING", "RUNNING", "WAIT", "RUN"]
    assert [line.split("\t") for line in lines] == [
        head,
        ["00:00", "301", "99999", "10000", "1", "2000000", "8", "1.2 s", "1.0 d"],
        ["00:05", "0", "0", "0", "0", "0", "0", "12 ms", "1.5 m"],
        ["00:10", *"-" * 8],
    ]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("step", [60, 3_600 * 24])
def test_figures_fit_a_terminal_of_80_columns(play: Play, step: int) -> None:
    response = GetStatsResponse()
    response.CopyFrom(STATS)
    response.step = step
    lines = shown(play, "stats", response, GetStatsRequest)
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("terminal")
def test_failures_fit_a_terminal_and_have_whole_messages_and_fingerprints(play: Play) -> None:
    now_s = int(time.time())
    group = FailureGroup()
    group.CopyFrom(GROUP)
    group.last_seen.FromSeconds(now_s - 600)
    found = ListFailuresResponse(groups=[group, FAILURES.groups[1]])
    head, first, *message, last = shown(play, "failures", found, ListFailuresRequest)
    assert head.split() == ["COUNT", "LAST", "TYPE", "CODE", "FINGERPRINT"]
    cells = ["12", "10m", "ago", "video-processing", "INTERNAL_ERROR", "0123456789abcdef"]
    assert first.split() == cells
    assert " ".join(" ".join(message).split()) == GROUP.message.strip()
    assert len(message) < 6
    assert "f" * 16 in last
    assert max(map(len, (head, first, *message, last))) <= 80


def test_failures_in_a_pipe_are_whole(play: Play) -> None:
    _, first, second = shown(play, "failures", FAILURES, ListFailuresRequest)
    *cells, message = first.split("\t")
    assert cells == [
        "12",
        "01-01 01:01",
        "video-processing",
        "INTERNAL_ERROR",
        "0123456789abcdef",
    ]
    assert message == GROUP.message
    assert second.split("\t")[3:] == ["-", "f" * 16, "-"]
    assert "there are more" in play.result().stderr


def test_no_failures_are_a_head_alone(play: Play) -> None:
    assert len(shown(play, "failures", ListFailuresResponse(), ListFailuresRequest)) == 1


def test_both_are_json_as_rest_has_them(play: Play) -> None:
    stats = json.loads("".join(shown(play, "stats", STATS, GetStatsRequest, "--json")))
    assert (stats["from"], stats["step"]) == ("2026-01-01T00:00:00.000Z", 300)
    assert stats["runP95Ms"] == [86_400_000, 90_000, -1]
    found = json.loads("".join(shown(play, "failures", FAILURES, ListFailuresRequest, "--json")))
    assert found["groups"][0]["sampleTaskId"] == "task_1"
    assert found["more"] is True


@pytest.mark.parametrize(
    ("given", "span_s", "step_s"),
    [
        ((), 3_600, 300),
        (("--since", "1m"), 60, 60),
        (("--since", "6h"), 21_600, 1_800),
        (("--since", "24h"), 86_400, 7_200),
        (("--since", "7d"), 604_800, 50_400),
        (("--since", "30d"), 2_592_000, 86_400),
    ],
)
def test_rows_are_as_long_as_is_known_for_the_time(
    play: Play, given: tuple[str, ...], span_s: int, step_s: int
) -> None:
    now_s = time.time()
    play.run("stats", *given, "--type", "video")
    request = play.answer(rpc("GetStats"), STATS, GetStatsRequest)
    assert (request.step, request.type) == (step_s, "video")
    assert abs(request.from_time.seconds - (now_s - span_s)) < 20


def test_failures_are_of_a_day_unless_it_is_said_otherwise(play: Play) -> None:
    now_s = time.time()
    play.run("failures", "--type", "video")
    request = play.answer(rpc("ListFailures"), FAILURES, ListFailuresRequest)
    assert request.type == "video"
    assert abs(request.from_time.seconds - (now_s - 86_400)) < 20


def test_who_is_no_admin_is_told_so(play: Play) -> None:
    play.run("stats")
    play.refuse(rpc("GetStats"), grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert play.result().exit_code == 5
