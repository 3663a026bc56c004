"""Spans as OTLP has them, in protobuf's wire format (opentelemetry/proto/trace/v1/trace.proto).

What many spans share is made by the generated classes, once. What is each span's own, ids and
times, has a fixed length and is put together here: that takes a third of the time, of which every
task of a gateway that traces takes three.
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Any

from opentelemetry.proto.trace.v1 import trace_pb2

from inferry.server.telemetry.spans import Attributes, Operation, Span
from inferry.server.telemetry.trace import kept_flags, kept_span_id, kept_trace_id

#: What the gateway is called in attributes.
SYSTEM = "inferry"
_MS_NS = 1_000_000
_KINDS = {
    Operation.SEND: trace_pb2.Span.SPAN_KIND_PRODUCER,
    Operation.PROCESS: trace_pb2.Span.SPAN_KIND_CONSUMER,
    Operation.SETTLE: trace_pb2.Span.SPAN_KIND_CLIENT,
}
# Each field is led by its number and kind, and what has no fixed length by its length, too.
#: start_time_unix_nano = 7, end_time_unix_nano = 8, flags = 16.
_TIMES = Struct("<BQBQ2sI")
_START, _END, _FLAGS = 0x39, 0x41, b"\x85\x01"
#: resource_spans = 1 of a request, scope_spans = 2 of those, spans = 2 of these.
_RESOURCE_SPANS, _SCOPE_SPANS, _SPANS = b"\x0a", b"\x12", b"\x12"
_SEVEN_BITS = 0x7F


def span_text(span: Span) -> bytes:
    """Writes a span."""
    ids = _ids(span.traceparent)
    if span.parent:
        # Field 4 is parent_span_id.
        ids += f"2208{kept_span_id(span.parent)}"
    if span.link:
        # Field 13 is links.
        ids += f"6a1c{_ids(span.link)}"
    start_ns, end_ns = span.start_ms * _MS_NS, span.end_ms * _MS_NS
    times = _TIMES.pack(_START, start_ns, _END, end_ns, _FLAGS, kept_flags(span.traceparent))
    task_id = span.task_id.encode()
    # Messages that stand one after the other are one.
    return b"".join(
        (
            bytes.fromhex(ids),
            times,
            _alike(span.operation, span.type, span.attributes, len(task_id)),
            task_id,
            _error(span.error) if span.error else b"",
        )
    )


def request_text(resource: bytes, scope: bytes, spans: Iterable[bytes]) -> bytes:
    """Writes a request.

    Args:
        resource: A ``ResourceSpans`` without spans.
        scope: A ``ScopeSpans`` without spans.
        spans: Those to send.
    """
    parts = [part for text in spans for part in (_SPANS, _length(len(text)), text)]
    whole = b"".join((scope, *parts))
    return _field(_RESOURCE_SPANS, resource + _field(_SCOPE_SPANS, whole))


def attribute(name: str, value: str | int) -> dict[str, object]:
    """Gives an attribute as the generated classes take it."""
    kind = "int_value" if isinstance(value, int) else "string_value"
    return {"key": name, "value": {kind: value}}


def _ids(traceparent: str) -> str:
    """Gives trace_id = 1 and span_id = 2, of a span and of a link, in hex digits."""
    return f"0a10{kept_trace_id(traceparent)}1208{kept_span_id(traceparent)}"


@lru_cache(maxsize=4_096)
def _alike(operation: Operation, task_type: str, more: Attributes, id_bytes: int) -> bytes:
    """Gives what many spans have in common; a task's id of so many bytes is to follow."""
    attributes = (
        ("messaging.system", SYSTEM),
        ("messaging.operation.name", operation),
        ("messaging.operation.type", operation),
        ("messaging.destination.name", task_type),
        *more,
        ("messaging.message.id", "x" * id_bytes),
    )
    shared = _span(name=f"{operation} {task_type}", kind=_KINDS[operation])
    shared += _span(attributes=[attribute(*one) for one in attributes])
    return shared[: len(shared) - id_bytes]


def _error(message: str) -> bytes:
    return _span(status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=message))


def _span(**fields: Any) -> bytes:
    return trace_pb2.Span(**fields).SerializeToString()


def _field(lead: bytes, text: bytes) -> bytes:
    """Writes a text with its lead and its length."""
    return lead + _length(len(text)) + text


@lru_cache(maxsize=1_000)
def _length(number: int) -> bytes:
    """Writes a length: seven bits a byte, the lowest first."""
    written = bytearray()
    while number > _SEVEN_BITS:
        written.append(number & _SEVEN_BITS | _SEVEN_BITS + 1)
        number >>= 7
    written.append(number)
    return bytes(written)
