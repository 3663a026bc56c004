"""``inferry purge`` against a channel on which the test plays the gateway, and with a real one."""

import json
import time

import grpc
import pytest
import typer

from inferry.cli import purge as command
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import PurgeTasksRequest, PurgeTasksResponse
from tests.cli.play import Play, rpc
from tests.cli.real import Inferry

PURGE = rpc("PurgeTasks")


def test_all_that_fit_are_dropped_page_after_page(play: Play) -> None:
    now_s = time.time()
    play.run("purge", "--older-than", "7d", "--status", "completed", "--label", "job=7", "--json")
    page = PurgeTasksResponse(purged=1_000, matched=1_000, next_page_token="more")
    first = play.answer(PURGE, page, PurgeTasksRequest)
    second = play.answer(PURGE, PurgeTasksResponse(purged=1, matched=1), PurgeTasksRequest)
    assert abs(first.finished_before.seconds - (now_s - 7 * 86_400)) < 20
    assert (first.status, dict(first.labels)) == (Task.COMPLETED, {"job": "7"})
    assert (first.dry_run, first.limit, second.page_token) == (False, 1_000, "more")
    assert json.loads(play.result().stdout) == {"purged": 1_001, "matched": 1_001}


def test_a_dry_run_counts_and_drops_nothing(play: Play) -> None:
    play.run("purge", "--type", "t", "--dry-run", "--limit", "5")
    request = play.answer(PURGE, PurgeTasksResponse(matched=5), PurgeTasksRequest)
    assert (request.dry_run, request.limit) == (True, 5)
    assert play.result().stdout == "5 tasks would be dropped\n"


def test_at_a_terminal_they_are_counted_first_and_the_count_is_in_the_question(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    monkeypatch.setattr(command, "sys", _Terminal())
    monkeypatch.setattr(typer, "confirm", lambda text, **_: questions.append(text))
    play.run("purge", "--type", "t", "--status", "FAILED")
    counted = play.answer(PURGE, PurgeTasksResponse(matched=3), PurgeTasksRequest)
    dropped = play.answer(PURGE, PurgeTasksResponse(purged=3, matched=3), PurgeTasksRequest)
    assert (counted.dry_run, dropped.dry_run, dropped.page_token) == (True, False, "")
    assert play.result().stdout == "3 tasks were dropped\n"
    assert questions == ["Drop 3 FAILED tasks of type t for good?"]


class _Terminal:
    """Standard input of somebody who sits there."""

    @property
    def stdin(self) -> "_Terminal":
        return self

    def isatty(self) -> bool:
        return True


def test_an_error_in_the_middle_still_says_how_many_were_dropped(play: Play) -> None:
    play.run("purge", "--status", "failed")
    page = PurgeTasksResponse(purged=1_000, matched=1_000, next_page_token="more")
    play.answer(PURGE, page, PurgeTasksRequest)
    play.refuse(PURGE, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert play.result().exit_code == 4
    assert "1,000 tasks were dropped" in play.result().stderr


@pytest.mark.parametrize("arguments", [[], ["--limit", "5"], ["--status", "PENDING"], ["task_1"]])
def test_it_is_to_be_said_what_goes(play: Play, arguments: list[str]) -> None:
    play.run("purge", *arguments)
    assert play.result().exit_code == 2


async def test_a_real_gateway_forgets_them(inferry: Inferry) -> None:
    task_id = (await inferry.run("submit", "nobody-takes-this", "--label", "job=1")).out.strip()
    await inferry.run("cancel", task_id)
    young = await inferry.json("purge", "--label", "job=1", "--older-than", "1h", "--yes")
    gone = await inferry.json("purge", "--label", "job=1", "--yes")
    assert (young["purged"], gone) == (0, {"purged": 1, "matched": 1})
    assert "GONE" in (await inferry.run("get", task_id)).err
