"""What is written by hand reads as what the generated classes write."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from inferry.server.telemetry.otlp import request_text, span_text
from inferry.server.telemetry.spans import Operation, Span

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
TIMES = st.integers(0, 2**43)
TRACEPARENTS = st.from_regex(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", fullmatch=True)
SPANS = st.builds(
    Span,
    st.sampled_from(Operation),
    TEXTS,
    TEXTS,
    TRACEPARENTS,
    TIMES,
    TIMES,
    st.dictionaries(TEXTS, TEXTS | st.integers(-(2**63), 2**63 - 1), max_size=4).map(
        lambda attributes: tuple(attributes.items())
    ),
    st.just("") | TRACEPARENTS,
    st.just("") | TRACEPARENTS,
    TEXTS,
)
KINDS = {
    Operation.SEND: trace_pb2.Span.SPAN_KIND_PRODUCER,
    Operation.PROCESS: trace_pb2.Span.SPAN_KIND_CONSUMER,
    Operation.SETTLE: trace_pb2.Span.SPAN_KIND_CLIENT,
}


def attribute(key: str, value: str | int) -> KeyValue:
    known = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key, value=known)


def generated(span: Span) -> trace_pb2.Span:
    name = span.operation.value
    attributes = {
        "messaging.system": "inferry",
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": span.type,
    }
    _, trace_id, span_id, flags = span.traceparent.split("-")
    made = trace_pb2.Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
        flags=int(flags),
        name=f"{name} {span.type}",
        kind=KINDS[span.operation],
        start_time_unix_nano=span.start_ms * 1_000_000,
        end_time_unix_nano=span.end_ms * 1_000_000,
        attributes=[attribute(*one) for one in attributes.items()],
    )
    made.attributes.extend(attribute(*one) for one in span.attributes)
    made.attributes.append(attribute("messaging.message.id", span.task_id))
    if span.parent:
        made.parent_span_id = bytes.fromhex(span.parent.split("-")[2])
    if span.link:
        _, trace_id, span_id, _ = span.link.split("-")
        made.links.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id))
    if span.error:
        made.status.code = trace_pb2.Status.STATUS_CODE_ERROR
        made.status.message = span.error
    return made


@given(SPANS)
def test_a_span_reads_as_the_generated_classes_write_it(span: Span) -> None:
    assert trace_pb2.Span.FromString(span_text(span)) == generated(span)


@given(st.lists(SPANS, max_size=5), TEXTS)
def test_so_does_a_request(spans: list[Span], name: str) -> None:
    resource = trace_pb2.ResourceSpans(resource=Resource(attributes=[attribute("name", name)]))
    scope = trace_pb2.ScopeSpans(scope=InstrumentationScope(name=name))
    read = ExportTraceServiceRequest.FromString(
        request_text(resource.SerializeToString(), scope.SerializeToString(), map(span_text, spans))
    )
    scope.spans.extend(map(generated, spans))
    resource.scope_spans.append(scope)
    assert read == ExportTraceServiceRequest(resource_spans=[resource])
