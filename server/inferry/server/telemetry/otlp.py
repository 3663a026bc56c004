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

from inferry.server.telemetry.spans import Operation, Span
from inferry.server.telemetry.trace import TraceContext

#: What the gateway is called in attributes.
SYSTEM = "inferry"
_MS_NS = 1_000_000
_KINDS = {
    Operation.SEND: trace_pb2.Span.SPAN_KIND_PRODUCER,
    Operation.PROCESS: trace_pb2.Span.SPAN_KIND_CONSUMER,
    Operation.SETTLE: trace_pb2.Span.SPAN_KIND_CLIENT,
}
# Each field is led by its number and kind, and text by its length, too.
#: trace_id = 1 and span_id = 2, of a span and of a link.
_IDS = Struct("<2s16s2s8s")
_TRACE_ID, _SPAN_ID = b"\x0a\x10", b"\x12\x08"
_PARENT_ID = b"\x22\x08"
_LINK = b"\x6a" + bytes([_IDS.size])
#: start_time_unix_nano = 7, end_time_unix_nano = 8, flags = 16.
_TIMES = Struct("<BQBQ2sI")
_START, _END, _FLAGS = 0x39, 0x41, b"\x85\x01"
#: resource_spans = 1 of a request, scope_spans = 2 of those, spans = 2 of these.
_RESOURCE_SPANS, _SCOPE_SPANS, _SPANS = b"\x0a", b"\x12", b"\x12"
_SEVEN_BITS = 0x7F


def span_text(span: Span) -> bytes:
    """Writes a span."""
    times = _TIMES.pack(
        _START, span.start_ms * _MS_NS, _END, span.end_ms * _MS_NS, _FLAGS, span.context.flags
    )
    # Messages that stand one after the other are one.
    parts = [_ids(span.context), times, _alike(span.operation, span.type), _message(span.task_id)]
    parts += [_with(name, value) for name, value in span.attributes.items()]
    if span.parent is not None:
        parts += _PARENT_ID, bytes.fromhex(span.parent.span_id)
    if span.link is not None:
        parts += _LINK, _ids(span.link)
    if span.error:
        status = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=span.error)
        parts.append(_span(status=status))
    return b"".join(parts)


def request_text(resource: bytes, scope: bytes, spans: Iterable[bytes]) -> bytes:
    """Writes a request.

    Args:
        resource: A ``ResourceSpans`` without spans.
        scope: A ``ScopeSpans`` without spans.
        spans: Those to send.
    """
    whole = scope + b"".join([_field(_SPANS, text) for text in spans])
    return _field(_RESOURCE_SPANS, resource + _field(_SCOPE_SPANS, whole))


def attribute(name: str, value: str | int) -> dict[str, object]:
    """Gives an attribute as the generated classes take it."""
    kind = "int_value" if isinstance(value, int) else "string_value"
    return {"key": name, "value": {kind: value}}


def _ids(context: TraceContext) -> bytes:
    trace_id, span_id = bytes.fromhex(context.trace_id), bytes.fromhex(context.span_id)
    return _IDS.pack(_TRACE_ID, trace_id, _SPAN_ID, span_id)


def _message(task_id: str) -> bytes:
    text = task_id.encode()
    return _message_head(len(text)) + text


@lru_cache(maxsize=64)
def _message_head(length: int) -> bytes:
    """Gives what comes before a task's id of so many bytes, which is the last of its attribute."""
    whole = _span(attributes=[attribute("messaging.message.id", "x" * length)])
    return whole[: len(whole) - length]


@lru_cache(maxsize=1_000)
def _alike(operation: Operation, task_type: str) -> bytes:
    """Gives what all spans of an operation and a type have in common."""
    name = operation.value
    attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": task_type,
    }
    return _span(
        name=f"{name} {task_type}",
        kind=_KINDS[operation],
        attributes=[attribute(*one) for one in attributes.items()],
    )


@lru_cache(maxsize=4_096)
def _with(name: str, value: str | int) -> bytes:
    """Gives a span that has an attribute, and nothing else."""
    return _span(attributes=[attribute(name, value)])


def _span(**fields: Any) -> bytes:
    return trace_pb2.Span(**fields).SerializeToString()


def _field(lead: bytes, text: bytes) -> bytes:
    """Writes a text with its lead and its length: seven bits a byte, the lowest first."""
    number, length = len(text), bytearray()
    while number > _SEVEN_BITS:
        length.append(number & _SEVEN_BITS | _SEVEN_BITS + 1)
        number >>= 7
    length.append(number)
    return lead + length + text
