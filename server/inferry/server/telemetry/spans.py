"""A span as the gateway makes it: complete, once what it is of has ended."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from inferry.server.telemetry.trace import TraceContext


class Operation(Enum):
    """What is done with a message, in OpenTelemetry's words."""

    SEND = "send"
    PROCESS = "process"
    SETTLE = "settle"


class Span(NamedTuple):
    """What was done with a task, which is a message to servers of its type."""

    operation: Operation
    type: str
    task_id: str
    context: TraceContext
    start_ms: int
    end_ms: int
    #: Beside what the conventions have.
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

    async def close(self) -> None:
        """Sends what is left."""
        ...
