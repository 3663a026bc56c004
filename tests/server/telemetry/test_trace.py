"""W3C Trace Context, as the gateway reads it: what is malformed is no trace, and no error."""

import pytest

from inferry.server.telemetry.trace import (
    NO_TRACE,
    Trace,
    in_trace,
    kept_flags,
    kept_sampled,
    kept_span_id,
    kept_trace_id,
    new_traceparent,
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
    kept = read_traceparent(text)
    assert kept == f"00-{TRACE}-{SPAN}-{flags:02x}"
    assert (kept_trace_id(kept), kept_span_id(kept), kept_flags(kept)) == (TRACE, SPAN, flags)
    assert kept_sampled(kept) is bool(flags & 1)


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
    assert read_traceparent(text) == ""


def test_a_trace_is_read_from_metadata_with_its_state() -> None:
    said = [("x", "y"), ("traceparent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")]
    assert read_trace(said) == Trace(GOOD, "a=1,b=2")
    assert read_trace([("tracestate", "a=1")]) == NO_TRACE
    assert read_trace(None) == NO_TRACE


def test_two_traceparents_are_none_and_a_state_that_is_too_long_or_odd_is_left_out() -> None:
    assert read_trace([("traceparent", GOOD)] * 2) == NO_TRACE
    for state in ("a=" + "1" * STATE_LIMIT, "a=ä"):
        assert read_trace([("traceparent", GOOD), ("tracestate", state)]) == Trace(GOOD)


def test_without_a_trace_there_is_no_id_and_nothing_is_kept() -> None:
    assert (kept_trace_id(""), kept_span_id(""), kept_sampled("")) == ("", "", False)


@pytest.mark.parametrize("sampled", [True, False])
def test_what_begins_here_goes_on_with_another_span(sampled: bool) -> None:
    begun = new_traceparent(TRACE, SPAN, sampled=sampled)
    assert (read_traceparent(begun), kept_sampled(begun)) == (begun, sampled)
    other = in_trace(begun, SPAN[::-1])
    assert other == begun.replace(SPAN, SPAN[::-1])


def test_ids_are_always_the_same_for_the_same_and_well_formed() -> None:
    for id_of in (span_id_of, trace_id_of):
        asked = [(task_id, number) for task_id in ("task_1", "task_2") for number in range(1, 201)]
        assert len({id_of(*one) for one in asked}) == 400
        assert [id_of(*one) for one in asked] == [id_of(*one) for one in asked]
    for number in (1, 16**6 - 1, 16**6 + 1):
        ids = trace_id_of("task_1", number), span_id_of("task_1", number)
        begun = new_traceparent(*ids, sampled=True)
        assert read_traceparent(begun) == begun
