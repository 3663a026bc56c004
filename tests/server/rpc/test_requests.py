"""Requests are checked by the rules of their protos before a servicer sees them."""

from collections.abc import Awaitable
from typing import Any

from grpc import StatusCode

from inferry.v1 import task_service_pb2 as pb
from tests.server.rpc.wiring import CLIENT, TASK, Wired, failure, info, struct


async def test_a_request_that_breaks_a_rule_is_refused_before_its_servicer(wired: Wired) -> None:
    calls: list[tuple[Awaitable[Any], str, str]] = [
        (
            wired.stub.GetTask(pb.GetTaskRequest(id=TASK, wait_seconds=61), metadata=CLIENT),
            "wait",
            "wait: 61; right is 0 to 60 seconds",
        ),
        (
            wired.stub.WatchTask(pb.WatchTaskRequest(), metadata=CLIENT).read(),
            "id",
            "id: missing",
        ),
    ]
    for call, field, message in calls:
        code, said, details = await failure(call)
        assert (code, said) == (StatusCode.INVALID_ARGUMENT, message)
        assert details == [info("INVALID_PAYLOAD", field=field), struct(field=field)]
    assert not wired.servicer.started.is_set()


async def test_a_stranger_is_told_nothing_of_a_request_but_that_he_is_one(wired: Wired) -> None:
    code, _, details = await failure(wired.stub.GetTask(pb.GetTaskRequest()))
    assert (code, details) == (StatusCode.UNAUTHENTICATED, [info("UNAUTHENTICATED")])
