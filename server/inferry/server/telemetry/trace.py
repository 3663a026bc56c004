"""W3C Trace Context: whose trace a task belongs to, as text that goes on with it. Pure.

What is malformed is no trace at all, and never an error. Ids of spans follow from the task and a
number that each of its spans has: so any replica that sees the end of an attempt knows the id that
was sent with its beginning, and nothing has to be kept for it. A span is its ``traceparent``.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
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
#: The flags that version 00 knows: sampled, random.
_FLAGS = 3
#: How a traceparent ends with those that say "sampled".
_SAMPLED_ENDS = ("1", "3")
#: Spans of a task that have ids of their own: as many as six hex digits tell apart.
_NUMBERS = 16**6


class Trace(NamedTuple):
    """What goes with a task: the texts of both headers, empty without a trace."""

    traceparent: str = ""
    tracestate: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Gives those headers that there are."""
        if not self.traceparent:
            return {}
        state = {TRACESTATE: self.tracestate} if self.tracestate else {}
        return {TRACEPARENT: self.traceparent, **state}


NO_TRACE = Trace()


def read_traceparent(text: str) -> str:
    """Reads a ``traceparent``; gives it in version 00, or nothing if it is none."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or found["version"] == _NO_VERSION:
        return ""
    if found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
        return ""
    if found["more"] and found["version"] == "00":
        return ""
    flags = int(found["flags"], 16) & _FLAGS
    return f"00-{found['trace']}-{found['span']}-{flags:02x}"


def new_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Writes the ``traceparent`` of a span whose trace begins here."""
    return f"00-{trace_id}-{span_id}-{sampled:02x}"


# What is read below was written here: it is empty, or well formed.


def kept_trace_id(traceparent: str) -> str:
    """Gives the trace's id; empty without a trace."""
    return traceparent[3:35]


def kept_span_id(traceparent: str) -> str:
    """Gives the span's id; empty without a trace."""
    return traceparent[36:52]


def kept_flags(traceparent: str) -> int:
    """Gives the flags; there must be a trace."""
    return int(traceparent[-1])


def kept_sampled(traceparent: str) -> bool:
    """Tells whether there is a trace that is kept."""
    return traceparent[-1:] in _SAMPLED_ENDS


def in_trace(traceparent: str, span_id: str) -> str:
    """Writes another span of the same trace."""
    return f"{traceparent[:36]}{span_id}{traceparent[52:]}"


def read_trace(metadata: Iterable[tuple[str, str | bytes]] | None) -> Trace:
    """Reads the trace that a call belongs to from its metadata."""
    parents, states = [], []
    for key, value in metadata or ():
        if key == TRACEPARENT:
            parents.append(str(value).strip())
        elif key == TRACESTATE:
            states.append(str(value).strip())
    parent = read_traceparent(parents[0]) if len(parents) == 1 else ""
    if not parent:
        return NO_TRACE
    state = ",".join(states)
    good = len(state) <= STATE_LIMIT and _TRACESTATE.fullmatch(state)
    return Trace(parent, state if good else "")


def span_id_of(task_id: str, number: int) -> str:
    """Gives the id of a span of a task: always the same for the same number, from 1 on."""
    first, _, _ = _digits(task_id)
    return f"{first}{number % _NUMBERS:06x}"


def trace_id_of(task_id: str, number: int) -> str:
    """Gives the id of the trace that begins with that span."""
    _, first, last = _digits(task_id)
    return f"{first}{number % _NUMBERS:06x}{last}"


# Asked for several times when a task begins, and when it ends.
@lru_cache(256)
def _digits(task_id: str) -> tuple[str, str, str]:
    """Gives what ids of a task have in common: of a span, and of a trace before and after."""
    digits = blake2b(task_id.encode(), digest_size=18).hexdigest()
    return digits[:10], digits[10:20], digits[20:]
