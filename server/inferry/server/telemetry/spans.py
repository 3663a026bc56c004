"""A span as the gateway makes it: complete, once what it is of has ended."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol


class Operation(StrEnum):
    """What is done with a message, in OpenTelemetry's words."""

    SEND = "send"
    PROCESS = "process"
    SETTLE = "settle"


#: Names, and what they say.
Attributes = tuple[tuple[str, str | int], ...]


class Span(NamedTuple):
    """What was done with a task, which is a message to servers of its type."""

    operation: Operation
    type: str
    task_id: str
    traceparent: str
    start_ms: int
    end_ms: int
    #: Beside what the conventions have.
    attributes: Attributes = ()
    #: Empty for the first of its trace.
    parent: str = ""
    #: What it is linked to.
    link: str = ""
    #: Why it did not go well; empty if it did.
    error: str = ""


#: Makes the spans of an event, when they are to be sent.
Made = Callable[[], Iterable[Span]]


class SpanSink(Protocol):
    """Takes spans to whoever keeps them."""

    def sample(self, trace_id: str) -> bool:
        """Decides whether a trace that begins here is kept."""
        ...

    def emit(self, made: Made) -> None:
        """Takes the spans of an event; it never waits, and drops what is too much."""
        ...

    async def close(self) -> None:
        """Sends what is left."""
        ...
