import errno
import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
import structlog

from inferry.server.logs import MASK, REQUEST_ID, TRACE_IDS, RequestIds, TraceIds, set_up_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Gives the process its own logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def only_line(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    event: dict[str, Any] = json.loads(line)
    return event


def test_an_event_is_one_line_of_json_with_its_level_and_time() -> None:
    stream = io.StringIO()
    set_up_logs("auto", "info", stream)
    structlog.get_logger().info("task created", task="task_1", ms=1.5)
    event = only_line(stream)
    time = datetime.fromisoformat(event.pop("timestamp"))
    assert time.utcoffset() == timedelta(0)
    assert event == {"event": "task created", "level": "info", "task": "task_1", "ms": 1.5}


def test_times_of_lines_are_those_of_the_clock_from_second_to_second() -> None:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    times_ns = [1_704_067_199_999_999_000, 1_704_067_200_000_001_000, 1_704_067_200_500_000_000]
    with patch("inferry.server.logs.time.time_ns", side_effect=times_ns):
        for _ in times_ns:
            structlog.get_logger().info("a line")
    assert [json.loads(line)["timestamp"] for line in stream.getvalue().splitlines()] == [
        "2023-12-31T23:59:59.999999Z",
        "2024-01-01T00:00:00.000001Z",
        "2024-01-01T00:00:00.500000Z",
    ]


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("\ud800", "\ud800"),
        (2**70, 2**70),
        ({1: "a", (2,): "b"}, {"1": "a"}),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_whatever_is_logged_is_one_line_of_json(value: Any, logged: Any) -> None:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    structlog.get_logger().info("odd", value=value)
    logging.getLogger("library").error("odd %s", value)
    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["value"] == logged
    assert json.loads(second)["event"].startswith("odd ")


ODD = "a\x1b[2J\r\nb\x9bc\x85d\u2028e"


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_nothing_that_is_logged_makes_a_line_or_moves_a_terminal(log_format: str) -> None:
    stream = io.StringIO()
    set_up_logs(log_format, "info", stream)
    structlog.get_logger().info("odd", error=ODD)
    logging.getLogger("library").error("odd %s", ODD)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    if log_format == "json":
        assert json.loads(lines[0])["error"] == ODD


def _break(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_a_traceback_has_its_lines_and_nothing_else_that_moves_a_terminal(log_format: str) -> None:
    stream = io.StringIO()
    set_up_logs(log_format, "info", stream)
    try:
        _break("a\x1b[2J\x9bb")
    except ValueError:
        structlog.get_logger().exception("odd")
    logged = stream.getvalue()
    assert "\x1b" not in logged
    assert "\x9b" not in logged
    assert (logged.count("\n") > 3) is (log_format == "pretty")


def test_a_stream_that_cannot_be_written_loses_a_line_and_no_more() -> None:
    class Full(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "no space left on device")
            return super().write(text)

    stream = Full()
    set_up_logs("auto", "info", stream)
    structlog.get_logger().info("lost")
    stream.full = False
    structlog.get_logger().info("task created")
    assert only_line(stream)["event"] == "task created"


def test_a_terminal_gets_something_to_read() -> None:
    stream = Terminal()
    set_up_logs("auto", "info", stream)
    structlog.get_logger().info("task created", task="task_1")
    assert "task created" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_format_can_be_said() -> None:
    terminal, file = Terminal(), io.StringIO()
    set_up_logs("json", "info", terminal)
    structlog.get_logger().info("one")
    set_up_logs("pretty", "info", file)
    structlog.get_logger().info("two")
    assert only_line(terminal)["event"] == "one"
    assert not file.getvalue().startswith("{")


def test_what_is_less_severe_than_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    set_up_logs("json", "warning", stream)
    structlog.get_logger().info("no")
    logging.getLogger("aiohttp").info("no")
    assert stream.getvalue() == ""


def test_libraries_log_in_the_same_format() -> None:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    logging.getLogger("aiohttp.server").warning("slow: %s", "very")
    event = only_line(stream)
    assert (event["event"], event["level"]) == ("slow: very", "warning")
    assert event["logger"] == "aiohttp.server"


def test_what_libraries_tell_their_authors_is_never_logged() -> None:
    stream = io.StringIO()
    set_up_logs("json", "debug", stream)
    for library in ("asyncio", "grpc._cython.cygrpc", "aiohttp.server"):
        logging.getLogger(library).debug("[_cygrpc] Loaded running loop")
    structlog.get_logger().debug("ours")
    assert only_line(stream)["event"] == "ours"


def test_a_line_that_names_a_task_names_the_request_that_created_it() -> None:
    ids = RequestIds(2)

    def known() -> list[str]:
        names = "abc"
        return [name for name in names if "request_id" in ids.add(None, "", {"task_id": name})]

    ids.note("a")
    assert known() == []
    mark = REQUEST_ID.set("req-1")
    try:
        for name in "abc":
            ids.note(name)
    finally:
        REQUEST_ID.reset(mark)
    assert known() == ["b", "c"]
    assert ids.add(None, "", {"task_id": "c"})["request_id"] == "req-1"
    assert ids.add(None, "", {"task_id": "c", "request_id": "req-2"})["request_id"] == "req-2"


def test_warnings_are_logged() -> None:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # As the interpreter does it, past pytest's own capture.
        logging.getLogger("py.warnings").warning("%s", "old ways")
    assert only_line(stream)["event"] == "old ways"


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_tokens_and_payloads_are_never_logged(log_format: str) -> None:
    stream = io.StringIO()
    set_up_logs(log_format, "info", stream)
    structlog.get_logger().info(
        "PUT /api/tasks/task_1?token=t0ps3cret&x=1",
        token="t0ps3cret",
        ticket="t0ps3cret",
        path="/api/tasks/task_1%3Ftoken%3Dt0ps3cret",
        events="GET /api/tasks/task_1/events?ticket=t0ps3cret",
        Authorization="Bearer t0ps3cret",
        payload={"prompt": "t0ps3cret"},
        headers={"authorization": "t0ps3cret", "list": ["Bearer t0ps3cret"]},
        url=("http://127.0.0.1/?token=t0ps3cret",),
    )
    logging.getLogger("grpc").error("refused: authorization: bearer t0ps3cret")
    assert "t0ps3cret" not in stream.getvalue()
    assert stream.getvalue().count(MASK) >= 7
    assert "x=1" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_tracebacks_are_logged_without_tokens_and_local_variables(log_format: str) -> None:
    stream = Terminal()
    set_up_logs(log_format, "info", stream)
    payload = "t0ps3cret"
    try:
        int(f"http://127.0.0.1/?token={payload}")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "Traceback" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "t0ps3cret" not in stream.getvalue()


@pytest.mark.parametrize("text", ["whsec_c2VjcmV0", "a webhook has whsec_c2VjcmV0 for now"])
def test_a_secret_of_a_webhook_is_never_logged(text: str) -> None:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    structlog.get_logger("test").info("event", said=text, all=[text])
    assert "c2VjcmV0" not in stream.getvalue()
    assert only_line(stream)["said"] == text.replace("c2VjcmV0", MASK)


def test_a_line_that_names_a_task_names_its_trace() -> None:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    TRACE_IDS.note("task_traced", "4bf9")
    for about in ({"task_id": "task_traced"}, {"task_id": "task_other"}, {}):
        structlog.get_logger().info("a line", **about)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("trace_id") for line in lines] == ["4bf9", None, None]


def test_the_trace_that_a_line_names_itself_stands() -> None:
    ids = TraceIds(1, 1)
    ids.note("a", "A")
    assert ids.add(None, "info", {"task_id": "a", "trace_id": "B"})["trace_id"] == "B"


def test_traces_of_tasks_that_run_are_known_until_they_end_and_of_others_the_last() -> None:
    ids = TraceIds(running=2, others=2)

    def known() -> list[str]:
        names = "abcdef"
        return [name for name in names if "trace_id" in ids.add(None, "", {"task_id": name})]

    ids.note("a", "A", held=True)
    for name in "bcd":
        ids.note(name, name.upper())
    assert known() == ["a", "c", "d"]
    ids.note("c", "C")
    ids.note("a", "A")
    assert known() == ["a", "c"]
    for name in "def":
        ids.note(name, name.upper(), held=True)
    assert known() == ["a", "c", "e", "f"]
