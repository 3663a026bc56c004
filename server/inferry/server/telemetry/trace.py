"""W3C Trace Context: whose trace a task belongs to, as text that goes on with it. Pure.

What is malformed is no trace at all, and never an error. Ids of spans follow from the task and from
what they are of: so any replica that sees the end of an attempt knows the id that was sent with its
beginning, and nothing has to be kept for it.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from inferry.wire.trace import STATE_LIMIT, TRACEPARENT, TRACESTATE

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
_TRACESTATE = re.compile(r"[ -~\t]*", re.ASCII)
_NO_TRACE, _NO_SPAN, _NO_VERSION = "0" * 32, "0" * 16, "ff"
_SAMPLED = 1
#: The flags that version 00 knows: sampled, random.
_FLAGS = 3


class TraceContext(NamedTuple):
    """A span, as others know it."""

    #: 32 hex digits.
    trace_id: str
    #: 16 hex digits.
    span_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether the trace is kept."""
        return bool(self.flags & _SAMPLED)

    def __str__(self) -> str:
        """Writes it as a ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


class Trace(NamedTuple):
    """What goes with a task: the texts of both headers, empty without a trace."""

    traceparent: str = ""
    tracestate: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Gives those headers that there are."""
        return {name: text for name, text in zip(self._fields, self, strict=True) if text}


NO_TRACE = Trace()


def read_traceparent(text: str) -> TraceContext | None:
    """Reads a ``traceparent``; None if it is none."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or found["version"] == _NO_VERSION:
        return None
    if found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
        return None
    if found["more"] and found["version"] == "00":
        return None
    return TraceContext(found["trace"], found["span"], int(found["flags"], 16) & _FLAGS)


def kept_trace_id(traceparent: str) -> str:
    """Gives the trace's id of one that was written here; empty without one."""
    return traceparent[3:35]


def kept_context(traceparent: str) -> TraceContext | None:
    """Reads one that was written here: it is empty or well formed."""
    if not traceparent:
        return None
    return TraceContext(kept_trace_id(traceparent), traceparent[36:52], int(traceparent[53:], 16))


def read_trace(metadata: Iterable[tuple[str, str | bytes]] | None) -> Trace:
    """Reads the trace that a call belongs to from its metadata."""
    parents, states = [], []
    for key, value in metadata or ():
        if key == TRACEPARENT:
            parents.append(str(value).strip())
        elif key == TRACESTATE:
            states.append(str(value).strip())
    context = read_traceparent(parents[0]) if len(parents) == 1 else None
    if context is None:
        return NO_TRACE
    state = ",".join(states)
    good = len(state) <= STATE_LIMIT and _TRACESTATE.fullmatch(state)
    return Trace(str(context), state if good else "")


def span_id_of(task_id: str, what: str) -> str:
    """Gives the id of a span of a task: always the same for the same."""
    return _digest(f"span {task_id} {what}", 8)


def trace_id_of(task_id: str, what: str) -> str:
    """Gives the id of a trace that begins with something of a task."""
    return _digest(f"trace {task_id} {what}", 16)


def _digest(text: str, size: int) -> str:
    found = blake2b(text.encode(), digest_size=size).hexdigest()
    # All zeros are no id.
    return found if found.strip("0") else "1" * (2 * size)
