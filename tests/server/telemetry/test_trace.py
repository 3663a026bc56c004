"""W3C Trace Context, as the gateway reads it: what is malformed is no trace, and no error."""

import pytest

from inferry.server.telemetry.trace import (
    NO_TRACE,
    Trace,
    TraceContext,
    read_trace,
    read_traceparent,
    span_id_of,
    trace_id_of,
)
from inferry.wire.trace import STATE_LIMIT

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        # A later version may say more, and flags that are not known are not passed on.
        (f"cc-{TRACE}-{SPAN}-ff-what-comes-later", 3),
    ],
)
def test_a_traceparent_is_read(text: str, flags: int) -> None:
    context = read_traceparent(text)
    assert context == TraceContext(TRACE, SPAN, flags)
    assert str(context) == f"00-{TRACE}-{SPAN}-{flags:02x}"
    assert context.sampled is bool(flags & 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        GOOD.upper(),
        GOOD[:-1],
        f"{GOOD}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-\N{ARABIC-INDIC DIGIT ZERO}\N{ARABIC-INDIC DIGIT ONE}",
        f" {GOOD}",
    ],
)
def test_what_is_malformed_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_trace_is_read_from_metadata_with_its_state() -> None:
    said = [("x", "y"), ("traceparent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")]
    assert read_trace(said) == Trace(GOOD, "a=1,b=2")
    assert read_trace([("tracestate", "a=1")]) == NO_TRACE
    assert read_trace(None) == NO_TRACE


def test_two_traceparents_are_none_and_a_state_that_is_too_long_or_odd_is_left_out() -> None:
    assert read_trace([("traceparent", GOOD)] * 2) == NO_TRACE
    for state in ("a=" + "1" * STATE_LIMIT, "a=ä"):
        assert read_trace([("traceparent", GOOD), ("tracestate", state)]) == Trace(GOOD)


def test_ids_are_always_the_same_for_the_same_and_well_formed() -> None:
    ids = [
        span_id_of("task_1", "send"),
        span_id_of("task_1", "attempt 1"),
        span_id_of("task_2", "send"),
    ]
    assert len({*ids}) == 3
    assert ids[0] == span_id_of("task_1", "send")
    for span_id in ids:
        assert read_traceparent(str(TraceContext(trace_id_of("task_1", "send"), span_id, 1)))
