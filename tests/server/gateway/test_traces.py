"""The trace of a task: taken from its creator, kept, passed on, and told as spans."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.testing import capture_logs

from inferry.server.app import telemetry
from inferry.server.logs import TRACE_IDS
from inferry.server.store import StoreError
from inferry.server.telemetry import otel
from inferry.server.telemetry.spans import Operation
from inferry.server.telemetry.spans import Span as ServerSpan
from inferry.v1.task_service_pb2 import BatchCreateTasksRequest, CreateTaskRequest
from inferry.v1.worker_pb2 import Assignment
from tests.backends import ACCEPTED, Answer, Backend, Job, running_backend, say
from tests.gateways import Running, ShiftedClock, running_gateway, token
from tests.model_worker import ModelWorker, admin, streamed_gateway
from tests.receivers import NETWORKS, answer, running_receiver

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
TRACED = {"traceparent": TRACEPARENT, "tracestate": "vendor=1,other=2"}


def in_turn(answers: Sequence[Answer]) -> Answer:
    """Answers one job after the other."""
    left = iter(answers)

    async def answer(job: Job) -> web.StreamResponse:
        return await next(left)(job)

    return answer


async def create(gateway: Running, headers: dict[str, str], **more: object) -> dict[str, Any]:
    """Creates a task over REST with further headers; waits for its end."""
    async with gateway.http.post(
        f"{gateway.url}/api/tasks",
        json={"type": "echo", "async": False, **more},
        headers={"Authorization": f"Bearer {token()}", **headers},
    ) as response:
        assert response.status in (200, 202), await response.text()
        return dict(await response.json())


async def test_the_trace_of_a_creation_is_kept_and_goes_with_each_attempt(
    gateway: Running, backend: Backend
) -> None:
    answers = say({}, 503), say({"status": "success", "result": 1})
    backend.answer = in_turn(answers)
    await gateway.register(backend)
    task = await create(gateway, TRACED)
    assert task["traceId"] == TRACE
    assert (await gateway.task(task["id"]))["traceId"] == TRACE
    assert len(backend.headers) == 2
    for headers in backend.headers:
        assert {name: headers[name] for name in TRACED} == TRACED


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": TRACEPARENT.replace("00-", "ff-", 1)},
        {"traceparent": "ä" * 40},
        {"traceparent": "0" * 600},
        {"tracestate": "vendor=1"},
    ],
)
async def test_without_a_trace_or_with_one_that_is_malformed_there_is_none(
    gateway: Running, backend: Backend, headers: dict[str, str]
) -> None:
    await gateway.register(backend)
    task = await create(gateway, headers)
    assert (task["status"], task.get("traceId")) == ("COMPLETED", None)
    assert not {*TRACED} & {name.lower() for name in backend.headers[0]}


async def test_a_trace_comes_over_grpc_for_one_task_and_for_many(gateway: Running) -> None:
    metadata = (*admin(), *TRACED.items())
    one = await gateway.tasks.CreateTask(CreateTaskRequest(type="echo"), metadata=metadata)
    assert one.task.trace_id == TRACE
    many = BatchCreateTasksRequest(requests=[CreateTaskRequest(type="echo")] * 2)
    created = await gateway.tasks.BatchCreateTasks(many, metadata=metadata)
    assert [result.task.trace_id for result in created.results] == [TRACE] * 2


async def test_a_request_that_is_sent_again_in_another_trace_is_the_same_request(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    key = {"Idempotency-Key": "one"}
    first = await create(gateway, {**TRACED, **key})
    again = await create(gateway, {"traceparent": TRACEPARENT.replace("4b", "5b"), **key})
    assert (again["id"], again["traceId"]) == (first["id"], TRACE)


async def test_a_trace_outlives_a_restart(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await create(gateway, TRACED, **{"async": True})
    async with running_gateway(tmp_path) as gateway, running_backend() as backend:
        await gateway.register(backend)
        assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"
        assert backend.headers[0]["traceparent"] == TRACEPARENT


async def test_a_worker_is_told_the_trace_of_an_assignment(tmp_path: Path) -> None:
    given: list[Assignment] = []

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        given.append(assignment)
        worker.complete(assignment, b"1")

    async with streamed_gateway(tmp_path) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=work)
        async with worker.connected():
            request = CreateTaskRequest(type="echo")
            metadata = (*admin(), *TRACED.items())
            answer = await gateway.tasks.CreateTask(request, metadata=metadata)
            await gateway.task(answer.task.id)
    (assignment,) = given
    assert {name: getattr(assignment, name) for name in TRACED} == TRACED


@pytest.mark.parametrize("headers", [TRACED, {}], ids=["traced", "untraced"])
async def test_a_webhook_is_told_the_trace_of_its_task_with_each_try(
    tmp_path: Path, backend: Backend, headers: dict[str, str]
) -> None:
    clock, hook = ShiftedClock(), {"secret": "whsec_" + "c2VjcmV0" * 4}
    async with (
        running_gateway(tmp_path, clock, webhook_networks=NETWORKS) as gateway,
        running_receiver(answer(500)) as receiver,
    ):
        await gateway.register(backend)
        task = await create(gateway, headers, webhook={"url": receiver.url, **hook})
        tries = [await receiver.next()]
        path = f"/api/tasks/{task['id']}/deliveries"
        await gateway.eventually(path, lambda body: body["deliveries"][0].get("tries") == 1)
        receiver.answer = answer(204)
        clock.shift_ms += 60_000
        tries.append(await receiver.next())
    for message in tries:
        told = {name: text for name, text in message.headers.items() if name in TRACED}
        assert told == headers


async def test_each_line_of_the_log_that_names_a_task_names_its_trace(
    tmp_path: Path, backend: Backend
) -> None:
    backend.answer = in_turn([say({}, 503), say({"status": "success", "result": 1})])
    with capture_logs(processors=[TRACE_IDS.add]) as lines:
        async with running_gateway(tmp_path) as gateway:
            await gateway.register(backend)
            task = await create(gateway, TRACED)
            late = {"status": "PROCESSING", "progress": 5, "attempt": 1}
            path = f"/api/tasks/{task['id']}"
            assert (await gateway.call("PUT", path, late))[0] == 409
            assert (await gateway.call("POST", f"{path}/cancel"))[0] == 409
    said: dict[str, set[str]] = {}
    for line in lines:
        if line.get("task_id") == task["id"]:
            said.setdefault(line["event"], set()).add(line.get("trace_id", ""))
    assert said.keys() >= {
        *("task created", "task changed", "task ended", "attempt failed"),
        *("call ended", "call failed"),
    }
    assert set().union(*said.values()) == {TRACE}


class Collector:
    """Takes spans as a collector of OTLP does, over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.headers: Mapping[str, str] = {}
        #: So many requests are to be refused first.
        self.refusals = 0
        self.got = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.headers = request.headers
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        self.got.set()
        asked = ExportTraceServiceRequest.FromString(await request.read())
        for resource in asked.resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            for scope in resource.scope_spans:
                self.spans += scope.spans
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        """The spans of one name, in the order of their beginnings."""
        found = [span for span in self.spans if span.name == name]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{host}:{port}")
    yield collector
    await runner.cleanup()


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def ids(*spans: Span) -> Iterator[tuple[str, str, str]]:
    """Trace, span and parent of each."""
    for span in spans:
        yield span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()


async def test_a_task_is_three_spans_in_the_trace_of_its_creator(
    tmp_path: Path, backend: Backend, collector: Collector
) -> None:
    async with running_gateway(tmp_path, traces=True) as gateway:
        server_id = await gateway.register(backend)
        task = await create(gateway, TRACED)
    (send,), (process,), (settle,) = (
        collector.named(f"{name} echo") for name in ("send", "process", "settle")
    )
    assert collector.services == {"inferry"}
    sent, processed, settled = ids(send, process, settle)
    assert (sent[0], sent[2]) == (TRACE, PARENT)
    assert (processed[0], processed[2]) == (TRACE, sent[1])
    assert (settled[0], settled[2]) == (TRACE, processed[1])
    # Who works on it goes on with the span of its attempt.
    assert backend.headers[0]["traceparent"] == f"00-{TRACE}-{processed[1]}-01"
    assert backend.headers[0]["tracestate"] == TRACED["tracestate"]
    kinds = [Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_CLIENT]
    assert [span.kind for span in (send, process, settle)] == kinds
    for operation, span in (("send", send), ("process", process), ("settle", settle)):
        said = attributes(span)
        assert said["messaging.system"] == "inferry"
        assert said["messaging.operation.type"] == operation
        assert said["messaging.operation.name"] == operation
        assert said["messaging.destination.name"] == "echo"
        assert said["messaging.message.id"] == task["id"]
        assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
    assert attributes(process)["inferry.server.id"] == server_id
    assert attributes(settle)["inferry.status"] == "COMPLETED"


async def test_an_attempt_after_the_first_is_linked_and_says_why_that_failed(
    tmp_path: Path, backend: Backend, collector: Collector
) -> None:
    retryable = {"status": "error", "error": "out of memory", "retryable": True}
    answers = say(retryable), say({"status": "success", "result": 1})
    backend.answer = in_turn(answers)
    async with running_gateway(tmp_path, traces=True, backoff_first_ms=1) as gateway:
        await gateway.register(backend)
        await create(gateway, TRACED)
    (send,) = collector.named("send echo")
    first, second = collector.named("process echo")
    (sent, failed, linked) = ids(send, first, second)
    assert failed[2] == sent[1]
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert "out of memory" in first.status.message
    assert attributes(first)["error.type"] == "rejected"
    # Nobody holds a trace open until a task is tried again.
    assert linked[0] != TRACE
    assert linked[2] == ""
    (link,) = second.links
    assert (link.trace_id.hex(), link.span_id.hex()) == sent[:2]
    assert backend.headers[1]["traceparent"] == f"00-{linked[0]}-{linked[1]}-01"
    assert "tracestate" not in backend.headers[1]


async def test_a_task_without_a_trace_begins_one(
    tmp_path: Path, backend: Backend, collector: Collector
) -> None:
    async with running_gateway(tmp_path, traces=True) as gateway:
        await gateway.register(backend)
        task = await create(gateway, {})
    (send,) = collector.named("send echo")
    ((trace_id, _, parent),) = ids(send)
    assert (trace_id, parent) == (task["traceId"], "")
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}


@pytest.mark.parametrize("headers", [{"traceparent": UNSAMPLED}, {}])
async def test_what_is_not_sampled_is_passed_on_and_makes_no_span(
    tmp_path: Path,
    backend: Backend,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with running_gateway(tmp_path, traces=True) as gateway:
        await gateway.register(backend)
        task = await create(gateway, headers)
    assert collector.spans == []
    sent = backend.headers[0]["traceparent"]
    assert sent.startswith(f"00-{task['traceId']}-")
    assert sent.endswith("-00")


async def test_an_attempt_that_a_restart_ends_has_the_span_that_its_beginning_told(
    tmp_path: Path, collector: Collector
) -> None:
    async with running_backend(ACCEPTED) as backend:
        async with running_gateway(tmp_path, traces=True) as gateway:
            await gateway.register(backend)
            task = await create(gateway, TRACED, **{"async": True})
            job = await backend.next_job()
            await gateway.eventually(
                f"/api/tasks/{task['id']}", lambda body: body["status"] == "PROCESSING"
            )
            path = job["callback_url"].removeprefix(gateway.url)
        async with running_gateway(tmp_path, traces=True) as gateway:
            done = {"status": "COMPLETED", "result": 1}
            async with gateway.http.put(f"{gateway.url}{path}", json=done) as response:
                assert response.status == 200
        (process,) = collector.named("process echo")
        ((trace_id, span_id, _),) = ids(process)
        assert backend.headers[0]["traceparent"] == f"00-{trace_id}-{span_id}-01"


async def test_a_task_that_ends_in_the_queue_is_settled_without_an_attempt(
    tmp_path: Path, collector: Collector
) -> None:
    async with running_gateway(tmp_path, traces=True) as gateway:
        task = await create(gateway, TRACED, **{"async": True})
        await gateway.call("POST", f"/api/tasks/{task['id']}/cancel")
    send, settle = collector.named("send echo") + collector.named("settle echo")
    sent, settled = ids(send, settle)
    assert settled[2] == sent[1]
    assert collector.named("process echo") == []


async def test_a_collector_that_is_away_holds_nothing_up(
    tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(telemetry, "_CLOSE_S", 0.1)
    async with asyncio.timeout(20), running_gateway(tmp_path, traces=True) as gateway:
        await gateway.register(backend)
        assert (await create(gateway, TRACED))["status"] == "COMPLETED"


def test_traces_without_opentelemetry_say_what_is_to_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "find_spec", lambda _name: None)
    with pytest.raises(StoreError, match=r"pip install 'inferry\[otel\]'"):
        telemetry._spans()


async def test_a_collector_that_cannot_now_gets_the_spans_later(
    tmp_path: Path, backend: Backend, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "_AGAIN_S", 0.0)
    monkeypatch.setattr(otel, "_PAUSE_S", 0.01)
    collector.refusals = 2
    async with running_gateway(tmp_path, traces=True) as gateway:
        await gateway.register(backend)
        await create(gateway, TRACED)
        async with asyncio.timeout(20):
            await collector.got.wait()
    assert {span.name for span in collector.spans} >= {"send echo"}
    assert collector.refusals == 0


def one_span(task_type: str) -> Iterator[ServerSpan]:
    yield ServerSpan(Operation.SEND, task_type, "task", TRACEPARENT, 1, 2, (("n", 3),))


async def test_more_spans_than_may_wait_are_dropped_and_the_log_says_so(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otel, "_WAITING", 2)
    spans = otel.OtlpSpans()
    for number in range(5):
        spans.emit(partial(one_span, f"type-{number}"))
    await spans.close()
    assert [span.name for span in collector.spans] == ["send type-0", "send type-1"]
    assert "events=3" in capsys.readouterr().out


async def test_variables_say_where_spans_go_and_what_goes_with_them(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b, x-more=c")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=gateway,zone=a")
    spans = otel.OtlpSpans()
    spans.emit(partial(one_span, "echo"))
    await spans.close()
    assert collector.services == {"gateway"}
    assert (collector.headers["x-team"], collector.headers["x-more"]) == ("a b", "c")
    assert collector.headers["Content-Encoding"] == "gzip"
    (span,) = collector.spans
    assert attributes(span)["n"] == 3


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PROTOCOL", "grpc", "spans are sent by http/protobuf"),
        ("TIMEOUT", "soon", "could not convert"),
        ("CERTIFICATE", "/nowhere.pem", "No such file"),
    ],
)
def test_what_is_not_done_here_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{variable}", value)
    with pytest.raises(StoreError, match=words):
        telemetry._spans()
