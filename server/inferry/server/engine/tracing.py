"""The trace of a task: what is kept of it, and what goes on with each attempt.

Without spans of its own the gateway passes on what a task's creator sent. With them it is a link of
the chain: the creation, each attempt and each end are spans, by OpenTelemetry's conventions for
messages. The first attempt is a child of the creation; one that comes after others, or long after
the creation, begins a trace of its own that is linked to it: nobody holds a trace open for so long.
"""

from collections.abc import Callable

from inferry.server.logs import TRACE_IDS
from inferry.server.task.record import Event, TaskRecord, TaskSpec
from inferry.server.telemetry.trace import (
    NO_TRACE,
    Trace,
    in_trace,
    kept_sampled,
    kept_trace_id,
    new_traceparent,
    span_id_of,
    trace_id_of,
)

#: From a creation to a first attempt that is still its child.
LONG_MS = 300_000
#: Decides whether a trace that begins here, by its id, is kept.
Sample = Callable[[str], bool]

#: The number of a task's creation among its spans; then come attempts and ends, in turns.
_SEND = 1


class Tracing:
    """Keeps tasks in their traces.

    Args:
        sample: Decides about traces that begin here; None if the gateway makes no spans.
    """

    def __init__(self, sample: Sample | None = None) -> None:
        self._sample = sample

    def begin(self, task_id: str, given: Trace) -> Trace:
        """Tells what is to be kept with a new task.

        Args:
            task_id: The task.
            given: What its creator sent.
        """
        if self._sample is None or given.traceparent:
            return given
        trace_id, span_id = trace_id_of(task_id, _SEND), span_id_of(task_id, _SEND)
        return Trace(new_traceparent(trace_id, span_id, sampled=self._sample(trace_id)))

    def onward(self, record: TaskRecord) -> Trace:
        """Tells what goes with the open attempt of a task to its server."""
        spec = record.spec
        if not spec.traceparent:
            return NO_TRACE
        if self._sample is None:
            return Trace(spec.traceparent, spec.tracestate)
        traceparent, child = attempt_span(spec, record.attempt, record.started_ms)
        return Trace(traceparent, spec.tracestate if child else "")


def sent_span(spec: TaskSpec) -> str:
    """Gives the span of the creation of a task with a trace.

    Its parent is what the task was created with; if that is the same, the trace began here.
    """
    return in_trace(spec.traceparent, span_id_of(spec.id, _SEND))


def attempt_span(spec: TaskSpec, number: int, started_ms: int) -> tuple[str, bool]:
    """Gives the span of an attempt of a task with a trace.

    With it comes whether the span of the creation is its parent; else it is linked to it.
    """
    span_id = span_id_of(spec.id, 2 * number)
    if number == 1 and started_ms - spec.created_ms < LONG_MS:
        return in_trace(spec.traceparent, span_id), True
    trace_id, sampled = trace_id_of(spec.id, 2 * number), kept_sampled(spec.traceparent)
    return new_traceparent(trace_id, span_id, sampled=sampled), False


def settled_span(parent: str, event: Event) -> str:
    """Gives the span of a task's end."""
    return in_trace(parent, span_id_of(event.task_id, 2 * event.seq + 1))


def note_trace(record: TaskRecord) -> None:
    """Has each line of the log that names the task name its trace, too."""
    spec = record.spec
    if spec.traceparent:
        TRACE_IDS.note(spec.id, kept_trace_id(spec.traceparent), held=record.running)
