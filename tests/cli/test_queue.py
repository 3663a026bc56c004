"""The commands on the queue against a channel on which the test plays the gateway."""

import json

from google.protobuf.timestamp_pb2 import Timestamp

from inferry.v1.queue_pb2 import TypeQueue
from inferry.v1.queue_service_pb2 import (
    GetQueueRequest,
    GetQueueResponse,
    PauseTypeRequest,
    PauseTypeResponse,
    ResumeTypeRequest,
    ResumeTypeResponse,
)
from tests.cli.play import Play, rpc

PAUSED = TypeQueue(
    type="video",
    waiting=7,
    delayed=1,
    paused=True,
    pause_reason="new\nmodel",
    paused_at=Timestamp(seconds=1_769_860_800),
)
FREE = TypeQueue(type="image", waiting=2)
QUEUE = GetQueueResponse(waiting=10, limit=10_000, left_last_minute=42, types=[FREE, PAUSED])


def test_the_queue_is_shown_by_type_with_its_totals(play: Play) -> None:
    play.run("queue")
    play.answer(rpc("GetQueue"), QUEUE, GetQueueRequest)
    assert [line.split("\t") for line in play.result().stdout.splitlines()] == [
        ["waiting", "10 of 10000"],
        ["left in the last minute", "42"],
        [""],
        ["TYPE", "WAITING", "DELAYED", "PAUSED SINCE", "WHY"],
        ["image", "2", "0", "-", "-"],
        ["video", "7", "1", "2026-01-31T12:00:00.000Z", "new model"],
    ]


def test_an_empty_queue_shows_no_table(play: Play) -> None:
    play.run("queue")
    play.answer(rpc("GetQueue"), GetQueueResponse(limit=10_000), GetQueueRequest)
    assert len(play.result().stdout.splitlines()) == 2


def test_the_queue_as_json_is_what_rest_shows(play: Play) -> None:
    play.run("queue", "--json")
    play.answer(rpc("GetQueue"), QUEUE, GetQueueRequest)
    shown = json.loads(play.result().stdout)
    assert (shown["waiting"], shown["limit"], shown["leftLastMinute"]) == (10, 10_000, 42)
    free, paused = shown["types"]
    assert free == {"type": "image", "waiting": 2, "delayed": 0, "paused": False, "tenants": []}
    assert (paused["paused"], paused["pauseReason"]) == (True, "new\nmodel")


def test_a_type_is_paused_with_a_reason(play: Play) -> None:
    play.run("pause", "video", "--reason", "new model")
    response = PauseTypeResponse(queue=PAUSED)
    request = play.answer(rpc("PauseType"), response, PauseTypeRequest)
    assert request == PauseTypeRequest(type="video", reason="new model")
    assert play.result().exit_code == 0
    assert "video\t7\t1\t2026-01-31T12:00:00.000Z\tnew model" in play.result().stdout


def test_a_type_is_unpaused(play: Play) -> None:
    play.run("unpause", "image", "--json")
    request = play.answer(rpc("ResumeType"), ResumeTypeResponse(queue=FREE), ResumeTypeRequest)
    assert request.type == "image"
    assert json.loads(play.result().stdout)["paused"] is False
