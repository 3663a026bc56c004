"""Tokens, rights, errors and log lines: alike in the same process and over a socket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import StatusCode
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
from inferry.server.rpc.local.channel import LocalChannel
from inferry.server.store import StoreError
from inferry.v1 import task_service_pb2 as pb
from tests.server.rpc.wiring import (
    ADMIN,
    BACKEND,
    CLIENT,
    TASK,
    Log,
    Wired,
    callback_token,
    failure,
    info,
    interceptor,
    struct,
)


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
    assert (
        await failure(wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)) == expected
    )


async def test_the_largest_status_still_travels(wired: Wired) -> None:
    wired.servicer.error = InferryError("€" * 5_000, text="x" * 1_000)
    code, message, details = await failure(
        wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)
    )
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


@pytest.mark.parametrize("made_up", [f"task_{'é' * 26}", f"task_{'A' * 25}", "task_\x1b[31m"])
async def test_what_is_no_id_of_ours_is_no_text_of_the_log(
    wired: Wired, logged: list[EventDict], made_up: str
) -> None:
    wired.servicer.error = NotFoundError("no such task")
    await failure(wired.stub.GetTask(pb.GetTaskRequest(id=made_up), metadata=CLIENT))
    assert made_up not in repr(logged)
    assert "task_id" not in logged[0]


async def test_a_store_that_fails_is_unavailable(wired: Wired, logged: list[EventDict]) -> None:
    wired.servicer.error = StoreError("/var/lib/inferry: disk full")
    code, message, details = await failure(
        wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=CLIENT)
    )
    assert (code, details) == (StatusCode.UNAVAILABLE, [info("UNAVAILABLE")])
    assert "disk" not in message
    assert logged[0]["exc_info"] is wired.servicer.error


async def test_a_servicer_may_abort_by_itself(wired: Wired, log: Log) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.stub.CancelTask(pb.CancelTaskRequest(id=TASK), metadata=CLIENT)
    error = caught.value
    assert (error.code(), error.details()) == (StatusCode.ABORTED, "by the servicer")
    assert error.trailing_metadata()["trail"] == "er"
    assert error.initial_metadata()["initi"] == "al"
    # Its client hears of it first.
    async with asyncio.timeout(10):
        await log.written.wait()
    assert log.entries[0]["code"] == "ABORTED"


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
        wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=metadata),
        wired.stub.WatchTask(pb.WatchTaskRequest(id=TASK), metadata=metadata).read(),
    ]
    for call in calls:
        code, _, details = await failure(call)
        assert (code, details) == (StatusCode.UNAUTHENTICATED, [info("UNAUTHENTICATED")])


async def test_a_role_that_may_not_is_denied(wired: Wired) -> None:
    calls: list[Awaitable[Any]] = [
        wired.stub.CreateTask(pb.CreateTaskRequest(type="echo"), metadata=BACKEND),
        wired.stub.WatchTask(pb.WatchTaskRequest(id=TASK), metadata=BACKEND).read(),
        wired.stub.UpdateTask(pb.UpdateTaskRequest(), metadata=CLIENT),
        wired.stub.ReportTask(iter([pb.ReportTaskRequest()]), metadata=CLIENT),
    ]
    for call in calls:
        code, _, details = await failure(call)
        assert (code, details) == (StatusCode.PERMISSION_DENIED, [info("PERMISSION_DENIED")])


async def test_the_token_of_a_callback_decides_whatever_header_comes_with_it(wired: Wired) -> None:
    bad = (("authorization", "Bearer nonsense"),)
    update = pb.UpdateTaskRequest(id=TASK, token=callback_token())
    report = pb.ReportTaskRequest(id=TASK, token=callback_token())
    for metadata in ((), BACKEND, CLIENT, bad, (("authorization", "Basic dTpw"),)):
        assert (await wired.stub.UpdateTask(update, metadata=metadata)).id == "nobody"
        assert (await wired.stub.ReportTask(iter([report] * 2), metadata=metadata)).reports == 2


async def test_a_report_without_the_token_of_a_callback_needs_one_of_its_sender(
    wired: Wired,
) -> None:
    bad = (("authorization", "Bearer nonsense"),)
    update, report = pb.UpdateTaskRequest(id=TASK), pb.ReportTaskRequest(id=TASK)
    assert (await wired.stub.UpdateTask(update, metadata=BACKEND)).id == "a-backend"
    assert (await wired.stub.ReportTask(iter([report]), metadata=BACKEND)).id == "a-backend"
    for metadata, text in (((), "callback URL, or a JWT"), (bad, "the token's header")):
        calls: list[Awaitable[Any]] = [
            wired.stub.UpdateTask(update, metadata=metadata),
            wired.stub.ReportTask(iter([report]), metadata=metadata),
        ]
        for call in calls:
            code, message, details = await failure(call)
            assert (code, details) == (StatusCode.UNAUTHENTICATED, [info("UNAUTHENTICATED")])
            assert text in message


async def test_an_admin_may_call_anything(wired: Wired) -> None:
    assert (await wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=ADMIN)).task.id == TASK
    assert (await wired.stub.UpdateTask(pb.UpdateTaskRequest(), metadata=ADMIN)).id == "a-admin"


async def test_one_line_tells_of_a_call_and_keeps_its_secrets(
    wired: Wired, logged: list[EventDict]
) -> None:
    token = CLIENT[0][1]
    wired.servicer.error = NotFoundError(f"no task {TASK}")
    named = (*CLIENT, ("x-request-id", "req-1"))
    await failure(wired.stub.GetTask(pb.GetTaskRequest(id=TASK), metadata=named))
    await wired.stub.CreateTask(pb.CreateTaskRequest(type="echo"), metadata=named)
    made_up = "task_of ada"
    signed = callback_token(made_up)
    await wired.stub.UpdateTask(pb.UpdateTaskRequest(id=made_up, token=signed))
    failed, created, updated = logged
    assert failed.pop("duration_ms") >= 0
    assert failed == {
        "event": "call failed",
        "log_level": "info",
        "method": "/inferry.v1.TaskService/GetTask",
        "code": "NOT_FOUND",
        "reason": "NOT_FOUND",
        "task_id": TASK,
        "request_id": "req-1",
        "by": "a-client",
        "tenant": "a-client",
    }
    assert (created["log_level"], created["code"], created["task_id"]) == ("debug", "OK", TASK)
    assert (created["request_id"], created["by"]) == ("req-1", "a-client")
    assert updated.keys().isdisjoint({"task_id", "request_id", "by"})
    assert token not in repr(logged)
    assert signed not in repr(logged)


@pytest.mark.parametrize("name", ["two words", "x" * 129, ""])
async def test_an_id_of_a_request_that_cannot_be_one_is_in_no_line(
    wired: Wired, logged: list[EventDict], name: str
) -> None:
    named = (*CLIENT, ("x-request-id", name))
    await wired.stub.CreateTask(pb.CreateTaskRequest(type="echo"), metadata=named)
    assert "request_id" not in logged[0]


async def test_a_method_outside_the_table_is_denied() -> None:
    channel = LocalChannel(interceptor())

    async def handle(request: Any, context: Any) -> Any:
        raise AssertionError

    handler: Any = grpc.unary_unary_rpc_method_handler(handle)
    channel.add_registered_method_handlers("inferry.v1.New", {"Thing": handler})
    call: Callable[..., Awaitable[Any]] = channel.unary_unary("/inferry.v1.New/Thing")
    assert (await failure(call(None, metadata=ADMIN)))[0] is StatusCode.PERMISSION_DENIED


def test_a_handler_is_wrapped_once() -> None:
    guards = interceptor()

    async def handle(request: Any, context: Any) -> Any:
        raise AssertionError

    handler: Any = grpc.unary_unary_rpc_method_handler(handle)
    method = "/inferry.v1.TaskService/GetTask"
    assert guards.guard(method, handler) is guards.guard(method, handler)
