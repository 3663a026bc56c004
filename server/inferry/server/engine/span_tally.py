"""Spans of what was committed, by OpenTelemetry's conventions for messages.

``send`` is a task's creation, ``process`` an attempt, ``settle`` the writing down of its end. All
of them are made when they have ended, and from the record alone: so they outlive a restart, and it
does not matter which replica sees the end.
"""

from inferry.server.clock import Clock
from inferry.server.engine.tracing import attempt_span, sent_span
from inferry.server.errors import InferryError
from inferry.server.task.record import Attempt, AttemptOutcome, EventKind, TaskRecord
from inferry.server.task.steps import Transition
from inferry.server.telemetry.spans import Operation, Span, SpanSink
from inferry.server.telemetry.trace import TraceContext, span_id_of


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
        spec = record.spec
        found = sent_span(spec)
        if found is not None and found[0].sampled:
            sent, parent = found
            ended_ms, begun_ms = self._clock.now_ms(), spec.created_ms
            self._emit(
                Span(Operation.SEND, spec.type, spec.id, sent, begun_ms, ended_ms, {}, parent)
            )

    def started(self, record: TaskRecord) -> None:
        """Makes none: the attempt has yet to end."""

    def changed(self, transition: Transition) -> None:
        """Makes the spans of an attempt that has ended, and of its end."""
        if transition.closed is not None:
            self._closed(transition, transition.closed)
        elif transition.event.kind is EventKind.FINISHED:
            found = sent_span(transition.record.spec)
            if found is not None and found[0].sampled:
                self._settle(transition, found[0], 0)

    def refused(self, error: InferryError) -> None:
        """Makes none: nothing came of it."""

    def _closed(self, transition: Transition, closed: Attempt) -> None:
        spec = transition.record.spec
        found = attempt_span(spec, closed.number, closed.started_ms)
        if found is None or not found.context.sampled:
            return
        outcome = closed.outcome.name.lower()
        attributes: dict[str, str | int] = {
            "inferry.attempt": closed.number,
            "inferry.server.id": closed.server_id,
            "inferry.outcome": outcome,
        }
        error = ""
        if closed.outcome is not AttemptOutcome.SUCCEEDED:
            error = closed.error or outcome
            attributes["error.type"] = outcome
        self._emit(
            Span(
                Operation.PROCESS,
                spec.type,
                spec.id,
                found.context,
                closed.started_ms,
                closed.ended_ms,
                attributes,
                parent=found.sent if found.child else None,
                link=None if found.child else found.sent,
                error=error,
            )
        )
        self._settle(transition, found.context, closed.number)

    def _settle(self, transition: Transition, parent: TraceContext, number: int) -> None:
        record, event = transition.record, transition.event
        spec = record.spec
        span_id = span_id_of(spec.id, f"settle {event.seq}")
        context = TraceContext(parent.trace_id, span_id, parent.flags)
        attributes: dict[str, str | int] = {
            "inferry.status": record.status.name,
            "inferry.attempt": number,
        }
        ended_ms = max(event.at_ms, self._clock.now_ms())
        self._emit(
            Span(
                Operation.SETTLE,
                spec.type,
                spec.id,
                context,
                event.at_ms,
                ended_ms,
                attributes,
                parent,
            )
        )
