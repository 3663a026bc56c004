"""What goes on with attempts, and which spans belong together."""

import pytest
from structlog.testing import capture_logs

from inferry.server.engine.alarm import Alarm
from inferry.server.engine.announcer import Announcer
from inferry.server.engine.signals import Signals
from inferry.server.engine.span_tally import SpanTally
from inferry.server.engine.tracing import LONG_MS, Tracing, attempt_span, sent_span
from inferry.server.logs import TRACE_IDS
from inferry.server.task.inputs import Cancel, Claim
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import TaskSpec
from inferry.server.telemetry.spans import Made, Span
from inferry.server.telemetry.trace import (
    NO_TRACE,
    Trace,
    kept_sampled,
    kept_trace_id,
    read_traceparent,
)
from tests.server.fleets import START_MS, HandClock
from tests.server.situations import RULES, SPEC

GIVEN = Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
UNSAMPLED = Trace(GIVEN.traceparent[:-2] + "00")


def spec_in(trace: Trace) -> TaskSpec:
    return SPEC._replace(created_ms=START_MS, **trace._asdict())


class Sink:
    """Keeps spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.events = 0

    def sample(self, trace_id: str) -> bool:
        return bool(trace_id)

    def emit(self, made: Made) -> None:
        self.events += 1
        self.spans += made()

    async def close(self) -> None:
        """Has nothing to send."""


@pytest.mark.parametrize("sample", [None, lambda _trace_id: True])
def test_what_was_given_is_kept_as_it_is(sample: object) -> None:
    assert Tracing(sample).begin("task_1", GIVEN) == GIVEN  # type: ignore[arg-type]


def test_without_spans_nothing_begins_and_what_was_given_goes_on() -> None:
    tracing = Tracing()
    assert tracing.begin("task_1", NO_TRACE) == NO_TRACE
    for given in (NO_TRACE, GIVEN):
        record = apply(create(spec_in(given), 0)[0], Claim("srv_a"), START_MS, RULES).record
        assert tracing.onward(record) == given


@pytest.mark.parametrize("kept", [True, False])
def test_a_trace_that_begins_here_has_the_creation_as_its_first_span(kept: bool) -> None:
    trace = Tracing(lambda _trace_id: kept).begin(SPEC.id, NO_TRACE)
    sent = sent_span(spec_in(trace))
    assert (kept_sampled(sent), sent) == (kept, trace.traceparent)
    assert read_traceparent(sent) == sent


@pytest.mark.parametrize(
    ("number", "after_ms", "child"),
    [(1, 0, True), (1, LONG_MS - 1, True), (1, LONG_MS, False), (2, 0, False)],
)
def test_only_a_first_attempt_that_comes_soon_is_a_child_of_the_creation(
    number: int, after_ms: int, child: bool
) -> None:
    spec = spec_in(GIVEN)
    traceparent, is_child = attempt_span(spec, number, START_MS + after_ms)
    assert is_child is child
    assert (kept_trace_id(traceparent) == kept_trace_id(sent_span(spec))) is child
    assert kept_sampled(traceparent)


def test_a_trace_that_is_not_kept_has_no_spans() -> None:
    sink = Sink()
    tally = SpanTally(sink, HandClock())
    for trace in (NO_TRACE, UNSAMPLED):
        record = create(spec_in(trace), 0)[0]
        tally.created(record)
        tally.changed(apply(record, Cancel("no"), START_MS, RULES))
        claimed = apply(record, Claim("srv_a"), START_MS, RULES).record
        tally.changed(apply(claimed, Cancel("no"), START_MS, RULES))
    assert (sink.events, sink.spans) == (0, [])


def test_lines_of_a_task_in_the_log_lead_to_its_trace() -> None:
    with capture_logs(processors=[TRACE_IDS.add]) as logged:
        announcer = Announcer(Signals(), Alarm(HandClock()))
        for trace in (GIVEN, NO_TRACE):
            record = create(spec_in(trace)._replace(id=f"task_{trace.tracestate}"), 0)[0]
            announcer.announce(apply(record, Cancel("no"), START_MS, RULES).record)
    assert [line.get("trace_id") for line in logged] == [GIVEN.traceparent[3:35], None]
