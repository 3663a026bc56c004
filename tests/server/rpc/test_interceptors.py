"""The same calls in the same process and over a socket: nobody can tell the difference."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
import structlog
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from structlog.typing import EventDict

from inferry.server.errors import (
    GoneError,
    IllegalTransitionError,
    InferryError,
    InvalidPayloadError,
    NotFoundError,
    PayloadTooLargeError,
    QueueFullError,
    StaleAttemptError,
    UnavailableError,
)
from inferry.server.local import LocalChannel
from inferry.server.rpc.interceptors import ServerInterceptor, caller
from inferry.server.store import StoreError
from inferry.server.tokens import Role, SecretKey, TokenVerifier, issue_token
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2_grpc import (
    TaskServiceServicer,
    TaskServiceStub,
    add_TaskServiceServicer_to_server,
)

if TYPE_CHECKING:
    from inferry.v1.task_service_pb2_grpc import TaskServiceAsyncStub

SECRET = b"0123456789abcdef0123456789abcdef"
NOW_MS = 1_704_067_200_000
TASK = "task_01HK153X00PYXZ6CXT0BGWJ8MG"


class FixedClock:
    def now_ms(self) -> int:
        return NOW_MS


def bearer(role: Role) -> tuple[tuple[str, str], ...]:
    token = issue_token(SECRET, f"a-{role}", role, None, 60, NOW_MS)
    return (("authorization", f"Bearer {token}"),)


CLIENT = bearer(Role.CLIENT)
BACKEND = bearer(Role.BACKEND)
ADMIN = bearer(Role.ADMIN)


class Servicer(TaskServiceServicer):
    """Does what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.ended = asyncio.Event()

    async def CreateTask(self, request: pb.CreateTaskRequest, context: Any) -> Any:
        return pb.CreateTaskResponse(task=Task(id=TASK, tenant=caller().tenant))

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        if request.wait_seconds:
            await self._hang()
        return pb.GetTaskResponse(task=Task(id=request.id, tenant=caller().tenant))

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Any) -> Any:
        context.set_trailing_metadata((("trail", "er"),))
        await context.send_initial_metadata((("initi", "al"),))
        await context.abort(StatusCode.ABORTED, "by the servicer")

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Any) -> Any:
        for seq in range(1, 4):
            event = TaskEvent(seq=seq, task_id=caller().tenant)
            yield pb.WatchTaskResponse(event=event)
        if self.error is not None:
            raise self.error
        if request.after_seq:
            await self._hang()

    async def UpdateTask(self, request: pb.UpdateTaskRequest, context: Any) -> Any:
        principal = caller(optional=True)
        return pb.UpdateTaskResponse(id=principal.subject if principal else "nobody")

    async def ReportTask(self, request_iterator: Any, context: Any) -> Any:
        reports = [request async for request in request_iterator]
        caller(optional=True)
        return pb.ReportTaskResponse(id=reports[-1].id, reports=len(reports))

    async def _hang(self) -> None:
        self.started.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()


@dataclass
class Wired:
    """A servicer and the stubs that call it."""

    stub: "TaskServiceAsyncStub"
    health: Any
    servicer: Servicer = field(default_factory=Servicer)


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    before = structlog.get_config()
    capture = structlog.testing.LogCapture()
    structlog.configure(
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    yield capture.entries
    structlog.configure(**before)


@pytest.fixture(params=["same process", "socket"])
async def wired(request: pytest.FixtureRequest, logged: list[EventDict]) -> AsyncIterator[Wired]:
    interceptor = ServerInterceptor(TokenVerifier(SecretKey(SECRET), FixedClock()))
    servicer = Servicer()  # type: ignore[abstract]
    probes = health.aio.HealthServicer()
    if request.param == "same process":
        local = LocalChannel(interceptor)
        add_TaskServiceServicer_to_server(servicer, local)
        health_pb2_grpc.add_HealthServicer_to_server(probes, local)
        yield Wired(TaskServiceStub(local), health_pb2_grpc.HealthStub(local), servicer)
        return
    server = grpc.aio.server(interceptors=[interceptor])
    add_TaskServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Wired(TaskServiceStub(channel), health_pb2_grpc.HealthStub(channel), servicer)
    await server.stop(None)


def as_rest_sees_it(error: grpc.aio.AioRpcError) -> tuple[StatusCode, Any, list[Any]]:
    """Decodes everything that an error carries."""
    status = rpc_status.from_call(cast("Any", error))
    details = [] if status is None else MessageToDict(status)["details"]
    return error.code(), error.details(), details


async def failure(call: Awaitable[Any]) -> tuple[StatusCode, Any, list[Any]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return as_rest_sees_it(caught.value)


def info(reason: str, **metadata: str) -> dict[str, Any]:
    packed = "type.googleapis.com/google.rpc.ErrorInfo"
    found: dict[str, Any] = {"@type": packed, "reason": reason, "domain": "inferry"}
    return found | ({"metadata": metadata} if metadata else {})


def struct(**details: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.protobuf.Struct", "value": details}


async def test_a_call_runs_as_the_token_says(wired: Wired) -> None:
    response = await wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)
    assert response == pb.GetTaskResponse(task=Task(id=TASK, tenant="a-client"))


async def test_a_call_tells_how_it_ended(wired: Wired) -> None:
    call = wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)
    assert await call.code() is StatusCode.OK
    assert (await call).task.id == TASK
    assert (await call).task.id == TASK
    assert call.done()
    assert not call.cancelled()
    assert call.cancel() is False


@pytest.mark.parametrize(
    ("error", "code", "details"),
    [
        (InvalidPayloadError("no"), StatusCode.INVALID_ARGUMENT, [info("INVALID_PAYLOAD")]),
        (PayloadTooLargeError("no"), StatusCode.INVALID_ARGUMENT, [info("PAYLOAD_TOO_LARGE")]),
        (NotFoundError("nö"), StatusCode.NOT_FOUND, [info("NOT_FOUND")]),
        (GoneError("no"), StatusCode.NOT_FOUND, [info("GONE")]),
        (
            IllegalTransitionError("no", status="FAILED", allowed=["PENDING"]),
            StatusCode.FAILED_PRECONDITION,
            [
                info("ILLEGAL_TRANSITION", status="FAILED"),
                struct(status="FAILED", allowed=["PENDING"]),
            ],
        ),
        (
            StaleAttemptError("no", attempt=1, current=2),
            StatusCode.FAILED_PRECONDITION,
            [info("STALE_ATTEMPT"), struct(attempt=1.0, current=2.0)],
        ),
        (
            QueueFullError("full", retry_after_s=2.5),
            StatusCode.RESOURCE_EXHAUSTED,
            [
                info("RESOURCE_LIMIT"),
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.500s"},
            ],
        ),
        (UnavailableError("no"), StatusCode.UNAVAILABLE, [info("UNAVAILABLE")]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, InferryError) else "",
)
async def test_an_error_arrives_with_all_it_carries(
    wired: Wired, error: InferryError, code: StatusCode, details: list[Any]
) -> None:
    wired.servicer.error = error
    expected = (code, error.message, details)
    assert await failure(wired.stub.GetTask(pb.GetTaskRequest(), metadata=CLIENT)) == expected


async def test_the_largest_status_still_travels(wired: Wired) -> None:
    wired.servicer.error = InferryError("€" * 5_000, text="x" * 1_000)
    code, message, details = await failure(wired.stub.GetTask(pb.GetTaskRequest(), metadata=CLIENT))
    assert (code, len(message), len(details)) == (StatusCode.INTERNAL, 341, 2)


async def test_a_mistake_of_ours_is_logged_and_never_shown(
    wired: Wired, logged: list[EventDict]
) -> None:
    wired.servicer.error = ValueError("the secret is swordfish")
    assert await failure(wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)) == (
        StatusCode.INTERNAL,
        "internal error",
        [info("INTERNAL_ERROR")],
    )
    (line,) = logged
    assert (line["log_level"], line["task_id"]) == ("error", TASK)
    assert line["exc_info"] is wired.servicer.error


async def test_a_store_that_fails_is_unavailable(wired: Wired, logged: list[EventDict]) -> None:
    wired.servicer.error = StoreError("/var/lib/inferry: disk full")
    code, message, details = await failure(wired.stub.GetTask(pb.GetTaskRequest(), metadata=CLIENT))
    assert (code, details) == (StatusCode.UNAVAILABLE, [info("UNAVAILABLE")])
    assert "disk" not in message
    assert logged[0]["exc_info"] is wired.servicer.error


async def test_a_servicer_may_abort_by_itself(wired: Wired, logged: list[EventDict]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.stub.CancelTask(pb.CancelTaskRequest(id=TASK), metadata=CLIENT)
    error = caught.value
    assert (error.code(), error.details()) == (StatusCode.ABORTED, "by the servicer")
    assert error.trailing_metadata()["trail"] == "er"
    assert error.initial_metadata()["initi"] == "al"
    assert logged[0]["code"] == "ABORTED"


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Basic dXNlcjpwYXNz"),),
        (("authorization", "Bearer nonsense"),),
        (("authorization", "Bearer"),),
        (("other", "Bearer nonsense"),),
    ],
)
async def test_a_call_without_a_token_that_holds_is_unauthenticated(
    wired: Wired, metadata: tuple[tuple[str, str], ...]
) -> None:
    calls: list[Awaitable[Any]] = [
        wired.stub.GetTask(pb.GetTaskRequest(), metadata=metadata),
        wired.stub.WatchTask(pb.WatchTaskRequest(), metadata=metadata).read(),
    ]
    for call in calls:
        code, _, details = await failure(call)
        assert (code, details) == (StatusCode.UNAUTHENTICATED, [info("UNAUTHENTICATED")])


async def test_a_role_that_may_not_is_denied(wired: Wired) -> None:
    calls: list[Awaitable[Any]] = [
        wired.stub.CreateTask(pb.CreateTaskRequest(), metadata=BACKEND),
        wired.stub.WatchTask(pb.WatchTaskRequest(), metadata=BACKEND).read(),
        wired.stub.UpdateTask(pb.UpdateTaskRequest(), metadata=CLIENT),
        wired.stub.ReportTask(iter([pb.ReportTaskRequest()]), metadata=CLIENT),
    ]
    for call in calls:
        code, _, details = await failure(call)
        assert (code, details) == (StatusCode.PERMISSION_DENIED, [info("PERMISSION_DENIED")])


async def test_a_report_may_come_without_a_token_but_not_with_a_bad_one(wired: Wired) -> None:
    request = pb.UpdateTaskRequest(id=TASK, token="for the servicer")
    assert (await wired.stub.UpdateTask(request)).id == "nobody"
    assert (await wired.stub.UpdateTask(request, metadata=BACKEND)).id == "a-backend"
    bad = (("authorization", "Bearer nonsense"),)
    assert (await failure(wired.stub.UpdateTask(request, metadata=bad)))[0] is (
        StatusCode.UNAUTHENTICATED
    )


async def test_an_admin_may_call_anything(wired: Wired) -> None:
    assert (await wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=ADMIN)).task.id == TASK
    assert (await wired.stub.UpdateTask(pb.UpdateTaskRequest(), metadata=ADMIN)).id == "a-admin"


async def test_probes_need_no_token(wired: Wired) -> None:
    response = await wired.health.Check(health_pb2.HealthCheckRequest(service=""))
    assert response.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.health.Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert caught.value.code() is StatusCode.NOT_FOUND


async def test_a_stream_arrives_in_order_and_ends(wired: Wired) -> None:
    call = wired.stub.WatchTask(pb.WatchTaskRequest(id=TASK), metadata=CLIENT)
    events = [response.event async for response in call]
    assert [(event.seq, event.task_id) for event in events] == [
        (1, "a-client"),
        (2, "a-client"),
        (3, "a-client"),
    ]
    assert await call.code() is StatusCode.OK
    assert await call.read() is grpc.aio.EOF


async def test_an_error_ends_a_stream_after_what_came_before(wired: Wired) -> None:
    wired.servicer.error = GoneError("purged")
    call: Any = wired.stub.WatchTask(pb.WatchTaskRequest(id=TASK), metadata=CLIENT)
    assert [(await call.read()).event.seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert as_rest_sees_it(caught.value) == (StatusCode.NOT_FOUND, "purged", [info("GONE")])
    assert await call.code() is StatusCode.NOT_FOUND


async def test_a_stream_of_requests_arrives_in_order(wired: Wired) -> None:
    async def requests() -> AsyncIterator[pb.ReportTaskRequest]:
        yield pb.ReportTaskRequest(id="first")
        yield pb.ReportTaskRequest(id="last")

    response = await wired.stub.ReportTask(requests(), metadata=BACKEND)
    assert (response.id, response.reports) == ("last", 2)


async def test_a_call_that_takes_too_long_ends_on_both_sides(wired: Wired) -> None:
    request = pb.GetTaskRequest(id=TASK, wait_seconds=60)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.stub.GetTask(request, metadata=CLIENT, timeout=0.1)
    assert (caught.value.code(), caught.value.details()) == (
        StatusCode.DEADLINE_EXCEEDED,
        "Deadline Exceeded",
    )
    await wired.servicer.ended.wait()


async def test_a_stream_that_takes_too_long_ends_on_both_sides(wired: Wired) -> None:
    request = pb.WatchTaskRequest(id=TASK, after_seq=1)
    call: Any = wired.stub.WatchTask(request, metadata=CLIENT, timeout=0.2)
    assert [(await call.read()).event.seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    await wired.servicer.ended.wait()


async def test_cancelling_a_call_cancels_its_handler(wired: Wired, logged: list[EventDict]) -> None:
    call = wired.stub.GetTask(pb.GetTaskRequest(id=TASK, wait_seconds=60), metadata=CLIENT)
    waiting = asyncio.ensure_future(call)
    await wired.servicer.started.wait()
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wired.servicer.ended.wait()
    assert call.cancelled()
    assert await call.code() is StatusCode.CANCELLED


async def test_cancelling_whoever_waits_cancels_the_handler(wired: Wired) -> None:
    call = wired.stub.GetTask(pb.GetTaskRequest(id=TASK, wait_seconds=60), metadata=CLIENT)
    waiting = asyncio.ensure_future(call)
    await wired.servicer.started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wired.servicer.ended.wait()


async def test_cancelling_a_stream_that_waits_ends_its_handler(wired: Wired) -> None:
    request = pb.WatchTaskRequest(id=TASK, after_seq=1)
    call = wired.stub.WatchTask(request, metadata=CLIENT)
    for _ in range(3):
        await call.read()
    waiting = asyncio.ensure_future(call.read())
    await wired.servicer.started.wait()
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wired.servicer.ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await call.read()


async def test_one_line_tells_of_a_call_and_keeps_its_secrets(
    wired: Wired, logged: list[EventDict]
) -> None:
    token = CLIENT[0][1]
    wired.servicer.error = NotFoundError(f"no task {TASK}")
    await failure(wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT))
    await wired.stub.CreateTask(pb.CreateTaskRequest(), metadata=CLIENT)
    await wired.stub.UpdateTask(pb.UpdateTaskRequest(id="task_?token=x", token="swordfish"))
    failed, created, updated = logged
    assert failed.pop("duration_ms") >= 0
    assert failed == {
        "event": "call failed",
        "log_level": "info",
        "method": "/inferry.v1.TaskService/GetTask",
        "code": "NOT_FOUND",
        "reason": "NOT_FOUND",
        "task_id": TASK,
    }
    assert (created["log_level"], created["code"], created["task_id"]) == ("debug", "OK", TASK)
    assert "task_id" not in updated
    assert token not in repr(logged)
    assert "swordfish" not in repr(logged)


async def test_a_method_outside_the_table_is_denied() -> None:
    interceptor = ServerInterceptor(TokenVerifier(SecretKey(SECRET), FixedClock()))
    channel = LocalChannel(interceptor)

    async def handle(request: Any, context: Any) -> Any:
        raise AssertionError

    handler: Any = grpc.unary_unary_rpc_method_handler(handle)
    channel.add_registered_method_handlers("inferry.v1.New", {"Thing": handler})
    call: Callable[..., Awaitable[Any]] = channel.unary_unary("/inferry.v1.New/Thing")
    assert (await failure(call(None, metadata=ADMIN)))[0] is StatusCode.PERMISSION_DENIED


def test_a_handler_is_wrapped_once() -> None:
    interceptor = ServerInterceptor(TokenVerifier(SecretKey(SECRET), FixedClock()))

    async def handle(request: Any, context: Any) -> Any:
        raise AssertionError

    handler: Any = grpc.unary_unary_rpc_method_handler(handle)
    method = "/inferry.v1.TaskService/GetTask"
    assert interceptor.guard(method, handler) is interceptor.guard(method, handler)
