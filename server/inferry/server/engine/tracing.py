"""The trace of a task: what is kept of it, and what goes on with each attempt.

Without spans of its own the gateway passes on what a task's creator sent. With them it is a link of
the chain: the creation, each attempt and each end are spans, by OpenTelemetry's conventions for
messages. The first attempt is a child of the creation; one that comes after others, or long after
the creation, begins a trace of its own that is linked to it: nobody holds a trace open for so long.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from inferry.server.logs import TRACE_IDS
from inferry.server.task.record import TaskRecord, TaskSpec
from inferry.server.telemetry.trace import (
    NO_TRACE,
    Trace,
    TraceContext,
    kept_context,
    kept_trace_id,
    span_id_of,
    trace_id_of,
)

#: From a creation to a first attempt that is still its child.
LONG_MS = 300_000
#: Decides whether a trace that begins here, by its id, is kept.
Sample = Callable[[str], bool]

_SEND = "send"
_SAMPLED = 1
#: Spans that are kept at hand.
_KNOWN = 4_096


class AttemptSpan(NamedTuple):
    """The span of an attempt."""

    context: TraceContext
    #: The span of the task's creation.
    sent: TraceContext
    #: Whether that is its parent; else it is linked to it.
    child: bool


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
        trace_id = trace_id_of(task_id, _SEND)
        flags = _SAMPLED if self._sample(trace_id) else 0
        return Trace(str(TraceContext(trace_id, span_id_of(task_id, _SEND), flags)))

    def onward(self, record: TaskRecord) -> Trace:
        """Tells what goes with the open attempt of a task to its server."""
        spec = record.spec
        if not spec.traceparent:
            return NO_TRACE
        span = None
        if self._sample is not None:
            span = attempt_span(spec, record.attempt, record.started_ms)
        if span is None:
            return Trace(spec.traceparent, spec.tracestate)
        return Trace(str(span.context), spec.tracestate if span.child else "")


def sent_span(spec: TaskSpec) -> tuple[TraceContext, TraceContext | None] | None:
    """Gives the span of a task's creation, and its parent if it has one; None without a trace."""
    return _sent(spec.id, spec.traceparent)


def attempt_span(spec: TaskSpec, number: int, started_ms: int) -> AttemptSpan | None:
    """Gives the span of an attempt; None without a trace."""
    child = number == 1 and started_ms - spec.created_ms < LONG_MS
    return _attempt(spec.id, spec.traceparent, number, child)


def trace_id(spec: TaskSpec) -> str:
    """Gives the id of the trace that a task was created in; empty without one."""
    return kept_trace_id(spec.traceparent)


# Each is asked for when an attempt begins and again when it ends, most often soon after.
@lru_cache(_KNOWN)
def _sent(task_id: str, traceparent: str) -> tuple[TraceContext, TraceContext | None] | None:
    given = kept_context(traceparent)
    if given is None:
        return None
    sent = TraceContext(given.trace_id, span_id_of(task_id, _SEND), given.flags)
    return sent, None if sent == given else given


@lru_cache(_KNOWN)
def _attempt(task_id: str, traceparent: str, number: int, child: bool) -> AttemptSpan | None:  # noqa: FBT001
    found = _sent(task_id, traceparent)
    if found is None:
        return None
    sent, what = found[0], f"attempt {number}"
    trace_id = sent.trace_id if child else trace_id_of(task_id, what)
    return AttemptSpan(TraceContext(trace_id, span_id_of(task_id, what), sent.flags), sent, child)


def note_trace(record: TaskRecord) -> None:
    """Has each line of the log that names the task name its trace, too."""
    if record.spec.traceparent:
        TRACE_IDS.note(record.spec.id, trace_id(record.spec), held=record.running)
