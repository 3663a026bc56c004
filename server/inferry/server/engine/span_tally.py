"""Spans of what was committed, by OpenTelemetry's conventions for messages.

``send`` is a task's creation, ``process`` an attempt, ``settle`` the writing down of its end. All
of them are made when they have ended, and from the record alone: so they outlive a restart, and it
does not matter which replica sees the end. They are made when they are sent: many at once take
half the time of as many between other work.
"""

from collections.abc import Iterator
from functools import partial

from inferry.server.clock import Clock
from inferry.server.engine.tracing import attempt_span, sent_span, settled_span
from inferry.server.errors import InferryError
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    Event,
    EventKind,
    Status,
    TaskRecord,
    TaskSpec,
)
from inferry.server.task.steps import Transition
from inferry.server.telemetry.spans import Operation, Span, SpanSink
from inferry.server.telemetry.trace import kept_sampled


class SpanTally:
    """Makes a span of each creation, attempt and end whose trace is kept.

    Args:
        sink: Takes the spans.
        clock: The time.
    """

    def __init__(self, sink: SpanSink, clock: Clock) -> None:
        self._emit = sink.emit
        self._clock = clock

    def created(self, record: TaskRecord) -> None:
        """Makes the span of a creation, which has been written down."""
        if kept_sampled(record.spec.traceparent):
            self._emit(partial(_sent, record.spec, self._clock.now_ms()))

    def started(self, record: TaskRecord) -> None:
        """Makes none: the attempt has yet to end."""

    def changed(self, transition: Transition) -> None:
        """Makes the spans of an attempt that has ended, and of its end."""
        record, event, closed, _ = transition
        if closed is None and event.kind is not EventKind.FINISHED:
            return
        if kept_sampled(record.spec.traceparent):
            now_ms = self._clock.now_ms()
            self._emit(partial(_ended, record.spec, record.status, event, closed, now_ms))

    def refused(self, error: InferryError) -> None:
        """Makes none: nothing came of it."""


def _sent(spec: TaskSpec, now_ms: int) -> Iterator[Span]:
    sent = sent_span(spec)
    parent = "" if sent == spec.traceparent else spec.traceparent
    yield Span(Operation.SEND, spec.type, spec.id, sent, spec.created_ms, now_ms, (), parent)


def _ended(
    spec: TaskSpec, status: Status, event: Event, closed: Attempt | None, now_ms: int
) -> Iterator[Span]:
    parent, number = sent_span(spec), 0
    if closed is not None:
        process = _processed(spec, closed, parent)
        yield process
        parent, number = process.traceparent, closed.number
    yield Span(
        Operation.SETTLE,
        spec.type,
        spec.id,
        settled_span(parent, event),
        event.at_ms,
        max(event.at_ms, now_ms),
        (("inferry.status", status.name), ("inferry.attempt", number)),
        parent,
    )


def _processed(spec: TaskSpec, closed: Attempt, sent: str) -> Span:
    traceparent, child = attempt_span(spec, closed.number, closed.started_ms)
    outcome = closed.outcome.name.lower()
    failed = closed.outcome is not AttemptOutcome.SUCCEEDED
    attributes = (
        ("inferry.attempt", closed.number),
        ("inferry.server.id", closed.server_id),
        ("inferry.outcome", outcome),
    )
    return Span(
        Operation.PROCESS,
        spec.type,
        spec.id,
        traceparent,
        closed.started_ms,
        closed.ended_ms,
        (*attributes, ("error.type", outcome)) if failed else attributes,
        parent=sent if child else "",
        link="" if child else sent,
        error=(closed.error or outcome) if failed else "",
    )
