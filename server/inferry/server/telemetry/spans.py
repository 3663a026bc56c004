"""A span as the gateway makes it: complete, once what it is of has ended."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from inferry.server.telemetry.trace import TraceContext


class SpanKind(Enum):
    """Which side of a message it is, in OpenTelemetry's words."""

    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"


class Span(NamedTuple):
    """Something that took time, as part of a trace."""

    name: str
    kind: SpanKind
    context: TraceContext
    start_ms: int
    end_ms: int
    attributes: Mapping[str, str | int]
    #: None for the first of its trace.
    parent: TraceContext | None = None
    #: What it is linked to.
    link: TraceContext | None = None
    #: Why it did not go well; empty if it did.
    error: str = ""


class SpanSink(Protocol):
    """Takes spans to whoever keeps them."""

    def sample(self, trace_id: str) -> bool:
        """Decides whether a trace that begins here is kept."""
        ...

    def emit(self, span: Span) -> None:
        """Takes a span; it never waits, and drops what is too much."""
        ...

    def close(self) -> None:
        """Sends what is left, for some seconds at most."""
        ...
