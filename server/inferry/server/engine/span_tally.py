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
from inferry.server.telemetry.spans import Span, SpanKind, SpanSink
from inferry.server.telemetry.trace import TraceContext, span_id_of

_SYSTEM = "inferry"


class SpanTally:
    """Makes a span of each creation, attempt and end whose trace is kept.

    Args:
        sink: Takes the spans.
        clock: The time.
    """

    def __init__(self, sink: SpanSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def created(self, record: TaskRecord) -> None:
        """Makes the span of a creation, which has been written down."""
        spec = record.spec
        found = sent_span(spec)
        if found is not None and found[0].sampled:
            sent, parent = found
            self._emit(record, "send", SpanKind.PRODUCER, sent, spec.created_ms, parent=parent)

    def started(self, record: TaskRecord) -> None:
        """Makes none: the attempt has yet to end."""

    def changed(self, transition: Transition) -> None:
        """Makes the spans of an attempt that has ended, and of its end."""
        record, closed = transition.record, transition.closed
        if closed is not None:
            self._closed(transition, closed)
        elif transition.event.kind is EventKind.FINISHED:
            found = sent_span(record.spec)
            if found is not None and found[0].sampled:
                self._settle(transition, found[0], 0)

    def refused(self, error: InferryError) -> None:
        """Makes none: nothing came of it."""

    def _closed(self, transition: Transition, closed: Attempt) -> None:
        record = transition.record
        found = attempt_span(record.spec, closed.number, closed.started_ms)
        if found is None or not found.context.sampled:
            return
        succeeded = closed.outcome is AttemptOutcome.SUCCEEDED
        outcome = closed.outcome.name.lower()
        self._sink.emit(
            Span(
                f"process {record.spec.type}",
                SpanKind.CONSUMER,
                found.context,
                closed.started_ms,
                closed.ended_ms,
                {
                    **_attributes(record, "process"),
                    "inferry.attempt": closed.number,
                    "inferry.server.id": closed.server_id,
                    "inferry.outcome": outcome,
                    **({} if succeeded else {"error.type": outcome}),
                },
                parent=found.sent if found.child else None,
                link=None if found.child else found.sent,
                error="" if succeeded else closed.error or outcome,
            )
        )
        self._settle(transition, found.context, closed.number)

    def _settle(self, transition: Transition, parent: TraceContext, number: int) -> None:
        record, event = transition.record, transition.event
        span_id = span_id_of(record.spec.id, f"settle {event.seq}")
        context = parent._replace(span_id=span_id)
        more: dict[str, str | int] = {
            "inferry.status": record.status.name,
            "inferry.attempt": number,
        }
        self._emit(
            record, "settle", SpanKind.CLIENT, context, event.at_ms, parent=parent, more=more
        )

    def _emit(
        self,
        record: TaskRecord,
        operation: str,
        kind: SpanKind,
        context: TraceContext,
        start_ms: int,
        *,
        parent: TraceContext | None,
        more: dict[str, str | int] | None = None,
    ) -> None:
        self._sink.emit(
            Span(
                f"{operation} {record.spec.type}",
                kind,
                context,
                start_ms,
                max(start_ms, self._clock.now_ms()),
                {**_attributes(record, operation), **(more or {})},
                parent=parent,
            )
        )


def _attributes(record: TaskRecord, operation: str) -> dict[str, str | int]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": record.spec.type,
        "messaging.message.id": record.spec.id,
    }
