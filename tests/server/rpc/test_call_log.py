"""Which calls have a line in the log, and at which level."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from grpc import StatusCode
from structlog.typing import EventDict

from inferry.server.rpc.call_log import CallLines, CallLog

GET = "/inferry.v1.TaskService/GetTask"
CHECK = "/inferry.v1.AccessService/CheckAccess"


def say(lines: CallLines, method: str = GET) -> None:
    said: Callable[..., Any] | None = lines.good(method)
    assert said is not None
    said("call ended")


def told(logged: list[EventDict]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logged]


def test_good_calls_have_so_many_lines_a_second_and_the_others_are_counted(
    logged: list[EventDict],
) -> None:
    now_s = 7.0
    lines = CallLines(structlog.get_logger().bind(), 2, lambda: now_s)
    for _ in range(4):
        say(lines)
    assert told(logged) == [("info", "call ended")] * 2 + [("debug", "call ended")] * 2
    logged.clear()
    now_s = 8.0
    say(lines)
    assert told(logged) == [
        ("info", "calls went well and have no line"),
        ("info", "call ended"),
    ]
    assert logged[0]["calls"] == 2


class Freed:
    """A call of gRPC, which frees what it came with once it is over."""

    over = False

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        assert not self.over, "read after it was freed"
        return (("x-request-id", "order-7"),)


def test_a_stream_that_ends_after_its_call_is_logged_by_what_the_call_came_with(
    logged: list[EventDict],
) -> None:
    context: Any = Freed()
    call = CallLog(CallLines(structlog.get_logger().bind(), 1), GET, context)
    context.over = True
    call.ended(StatusCode.CANCELLED)
    assert (logged[0]["request_id"], logged[0]["code"]) == ("order-7", "CANCELLED")


@pytest.mark.parametrize("method", [CHECK, "/inferry.v1.ServerService/Heartbeat"])
def test_what_is_routine_takes_no_line_of_a_callers(logged: list[EventDict], method: str) -> None:
    lines = CallLines(structlog.get_logger().bind(), 1)
    say(lines, method)
    say(lines)
    assert [level for level, _ in told(logged)] == ["debug", "info"]


def test_whoever_wants_no_lines_gets_none_and_no_count() -> None:
    quiet = structlog.make_filtering_bound_logger(logging.INFO)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    try:
        assert CallLines(structlog.get_logger().bind(), 0).good(GET) is None
    finally:
        structlog.reset_defaults()
