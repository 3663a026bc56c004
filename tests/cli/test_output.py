import json
import sys
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from inferry.cli import output
from inferry.cli.output import document, place, print_rows
from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import Task, TaskEvent

NOW_S = 1_769_860_800


def waiting(starts_in_s: float | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"queue_position": 3}
    if starts_in_s is not None:
        fields["estimated_start_at"] = Timestamp(seconds=int(NOW_S + starts_in_s))
    return fields


def test_a_place_beyond_what_the_gateway_sees_is_told_as_a_bound() -> None:
    task = Task(queue_position=3, queue_position_at_least=True)
    assert place(task, NOW_S) == "place 3 or later in the queue"
    task.estimated_start_at.FromSeconds(NOW_S + 12)
    later = place(task, NOW_S)
    assert later == "place 3 or later in the queue, starts no sooner than in 12 s"


@pytest.mark.parametrize(
    ("starts_in_s", "words"),
    [
        (None, ""),
        (-5, ", starts any moment"),
        (0, ", starts any moment"),
        (12, ", starts in about 12 s"),
        (119, ", starts in about 119 s"),
        (300, ", starts in about 5 min"),
        (3 * 3_600, ", starts in about 3 h"),
        (3 * 86_400, ", starts in about 3 d"),
    ],
)
def test_a_place_in_the_queue_tells_when_its_task_will_start(
    starts_in_s: float | None, words: str
) -> None:
    fields = waiting(starts_in_s)
    assert place(Task(**fields), NOW_S) == f"place 3 in the queue{words}"
    assert place(TaskEvent(**fields), NOW_S) == f"place 3 in the queue{words}"


def test_what_does_not_wait_has_no_place() -> None:
    assert place(Task(status=Task.PROCESSING), NOW_S) == ""


def test_a_document_is_in_the_order_of_its_proto_and_has_the_words_of_rest() -> None:
    server = Server(id="srv_1", url="http://a", status=Server.DRAINING, breaker=Server.OPEN)
    shown = document(server)
    assert list(shown) == [
        "id",
        "url",
        "capabilities",
        "maxConcurrent",
        "status",
        "active",
        "breaker",
        "labels",
        "workerIdleWithBacklogMs",
        "notes",
    ]
    assert (shown["status"], shown["breaker"]) == ("draining", "OPEN")


def test_a_narrow_terminal_gets_whole_ids(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = Console(force_terminal=True, width=10, soft_wrap=True, color_system=None)
    monkeypatch.setattr(output, "OUT", narrow)
    print_rows(("ID", "NAME", "WHY"), [("task_01J", "映像", "-"), ("task_02J", "a", "no\nroom")])
    assert capsys.readouterr().out.splitlines() == [
        "ID        NAME  WHY",
        "task_01J  映像  -",
        "task_02J  a     no room",
    ]


def test_a_table_without_rows_says_so_to_people_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_rows(("ID", "NAME"), [])
    assert capsys.readouterr().out == "ID\tNAME\n"
    monkeypatch.setattr(output, "OUT", Console(force_terminal=True, width=80, color_system=None))
    print_rows(("ID", "NAME"), [])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == ["ID  NAME", "none"]


ODD = '{\r\n\t"a" : "\x9b2J\x7f\u2028",\r"b":[\n1 ]}'
SAME = json.loads(ODD)


def print_all(capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str]:
    task = Task(status=Task.COMPLETED, result_json=ODD.encode())
    output.print_result(task)
    result = capsys.readouterr().out
    output.print_json(document(task))
    whole = capsys.readouterr().out
    output.print_json_line(document(task))
    return result, whole, capsys.readouterr().out


def test_a_result_goes_into_a_pipe_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    result, whole, line = print_all(capsys)
    assert result == f"{ODD}\n"
    assert json.loads(whole)["result"] == SAME
    assert (line.count("\n"), line.count("\r")) == (1, 0)
    assert json.loads(line)["result"] == SAME


def test_a_result_moves_no_terminal_and_stays_the_same_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result, whole, line = print_all(capsys)
    assert json.loads(result) == SAME
    assert json.loads(whole)["result"] == json.loads(line)["result"] == SAME
    for text in (result, whole, line):
        assert all(char.isprintable() or char == "\n" for char in text)
