"""The commands on servers against a channel on which the test plays the gateway."""

import json
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    DeregisterServerResponse,
    DrainServerResponse,
    ListServersResponse,
)
from tests.cli.play import Play, rpc

RETRY_AT = Timestamp(seconds=1_769_860_800)


def test_servers_are_listed_with_their_status_as_rest_says_it(play: Play) -> None:
    server = Server(id="srv_1", name="gpu", status=Server.ACTIVE, active=2, max_concurrent=10)
    play.run("servers", "--json")
    play.answer(
        rpc("ListServers"),
        ListServersResponse(servers=[server], next_page_token="more"),
        object,
    )
    play.answer(rpc("ListServers"), ListServersResponse(), object)
    (shown,) = json.loads(play.result().stdout)["servers"]
    assert (shown["id"], shown["status"], shown["maxConcurrent"]) == ("srv_1", "active", 10)


def test_drain_shows_the_server(play: Play) -> None:
    server = Server(id="srv_1", name="gpu", status=Server.DRAINING, max_concurrent=10)
    play.run("drain", "srv_1")
    play.answer(rpc("DrainServer"), DrainServerResponse(server=server), object)
    assert play.result().stdout.splitlines()[1].split("\t")[2] == "draining"


def test_a_worker_shows_how_it_stands_with_its_stream(play: Play) -> None:
    worker = Server(id="srv_1", transport=Server.GRPC, connection=Server.RECONNECTING)
    play.run("servers")
    play.answer(rpc("ListServers"), ListServersResponse(servers=[worker]), object)
    row = play.result().stdout.splitlines()[1].split("\t")
    assert row[5] == "its stream: reconnecting"


@pytest.mark.parametrize(
    ("fields", "status", "breaker"),
    [
        ({"breaker": Server.CLOSED}, "active", "closed"),
        (
            {"status": Server.RESTING, "breaker": Server.CLOSED, "retry_at": RETRY_AT},
            "resting until 2026-01-31T12:00:00.000Z",
            "closed",
        ),
        (
            {"breaker": Server.OPEN, "retry_at": RETRY_AT},
            "active",
            "open until 2026-01-31T12:00:00.000Z",
        ),
        ({"breaker": Server.HALF_OPEN}, "active", "half open"),
        ({"status": Server.DRAINING, "retry_at": RETRY_AT}, "draining", "closed"),
    ],
)
def test_a_server_that_is_left_alone_says_until_when(
    play: Play, fields: dict[str, Any], status: str, breaker: str
) -> None:
    play.run("servers")
    server = Server(**{"id": "srv_1", "status": Server.ACTIVE, **fields})
    play.answer(rpc("ListServers"), ListServersResponse(servers=[server]), object)
    head, row = (line.split("\t") for line in play.result().stdout.splitlines())
    assert (row[head.index("STATUS")], row[head.index("BREAKER")]) == (status, breaker)


@pytest.mark.parametrize(("given", "grace_ms"), [((), 30_000), (("--grace", "0"), 0)])
def test_deregister_gives_the_tasks_of_the_server_a_time_of_grace(
    play: Play, given: tuple[str, ...], grace_ms: int
) -> None:
    play.run("deregister", "srv_1", *given)
    response = DeregisterServerResponse()
    request = play.answer(rpc("DeregisterServer"), response, DeregisterServerRequest)
    assert (request.id, request.HasField("grace_ms")) == ("srv_1", True)
    assert request.grace_ms == grace_ms
    assert play.result().stdout == "srv_1 is out of the list\n"
