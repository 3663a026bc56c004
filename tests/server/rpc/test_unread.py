"""Messages on a socket: who sends them is known before they are read, or before they are parsed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.typing import EventDict

from inferry.server.rpc.health_service import HealthServicer
from inferry.server.rpc.unread import bounded
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from tests.server.rpc.wiring import (
    BACKEND,
    CLIENT,
    TASK,
    Servicer,
    callback_token,
    failure,
    info,
    interceptor,
)

BAD = (("authorization", "Bearer nonsense"),)
#: A message that says of its field 2 that it is an update, and it is none.
GARBAGE = b"\x12\x04\xff\xff\xff\xff"


@asynccontextmanager
async def listening(**limits: Any) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[interceptor(**limits)])
    add_TaskServiceServicer_to_server(Servicer(), server)  # type: ignore[abstract]
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@pytest.fixture
async def channel(logged: list[EventDict]) -> AsyncIterator[grpc.aio.Channel]:
    async with listening() as channel:
        yield channel


def call(channel: grpc.aio.Channel, method: str, raw: bytes, metadata: Any = ()) -> Any:
    stub: Any = channel.unary_unary(f"/inferry.v1.TaskService/{method}")
    return stub(raw, metadata=metadata)


async def never() -> AsyncIterator[Any]:
    await asyncio.get_running_loop().create_future()
    yield b""


@pytest.mark.parametrize("method", ["CreateTask", "GetTask", "WatchTasks", "CancelTask"])
@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), StatusCode.UNAUTHENTICATED),
        (BAD, StatusCode.UNAUTHENTICATED),
        (BACKEND, StatusCode.PERMISSION_DENIED),
    ],
)
async def test_who_calls_is_decided_before_a_byte_of_the_message_has_come(
    channel: grpc.aio.Channel,
    logged: list[EventDict],
    method: str,
    metadata: Any,
    code: StatusCode,
) -> None:
    stub: Any = channel.stream_unary(f"/inferry.v1.TaskService/{method}")
    async with asyncio.timeout(20):
        assert (await failure(stub(never(), metadata=metadata)))[0] is code
    (line,) = logged
    assert (line["event"], line["code"]) == ("call failed", code.name)


@pytest.mark.parametrize("method", ["UpdateTask", "ReportTask"])
async def test_a_report_is_parsed_only_if_its_token_holds(
    channel: grpc.aio.Channel, method: str
) -> None:
    good = pb.UpdateTaskRequest(id=TASK, token=callback_token()).SerializeToString()
    forged = pb.UpdateTaskRequest(id=TASK, token=callback_token("other")).SerializeToString()
    await call(channel, method, good)
    for metadata in ((), BAD, CLIENT):
        refused, _, _ = await failure(call(channel, method, forged + GARBAGE, metadata))
        assert refused is StatusCode.UNAUTHENTICATED
        parsed, text, _ = await failure(call(channel, method, good + GARBAGE, metadata))
        assert (parsed, "no message of its type" in text) == (StatusCode.INVALID_ARGUMENT, True)


async def test_each_report_of_a_stream_vouches_for_itself(channel: grpc.aio.Channel) -> None:
    good = pb.ReportTaskRequest(id=TASK, token=callback_token()).SerializeToString()
    bare = pb.ReportTaskRequest(id=TASK).SerializeToString()
    stub: Any = channel.stream_unary("/inferry.v1.TaskService/ReportTask")
    assert pb.ReportTaskResponse.FromString(await stub(iter([good] * 3))).reports == 3
    assert (await failure(stub(iter([good, bare + GARBAGE]))))[0] is StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff", GARBAGE])
async def test_what_tells_no_token_is_refused_for_that(
    channel: grpc.aio.Channel, raw: bytes
) -> None:
    assert (await failure(call(channel, "UpdateTask", raw)))[0] is StatusCode.UNAUTHENTICATED


async def test_a_call_without_a_message_is_refused(channel: grpc.aio.Channel) -> None:
    stub: Any = channel.stream_unary("/inferry.v1.TaskService/UpdateTask")
    code, text, _ = await failure(stub(iter([])))
    assert (code, text) == (StatusCode.INVALID_ARGUMENT, "the request is missing")


@pytest.mark.parametrize(("method", "metadata"), [("GetTask", CLIENT), ("ReportTask", BACKEND)])
async def test_a_message_of_another_type_is_the_callers_mistake(
    channel: grpc.aio.Channel, logged: list[EventDict], method: str, metadata: Any
) -> None:
    code, text, _ = await failure(call(channel, method, b"\x0a\xff", metadata))
    assert (code, text) == (
        StatusCode.INVALID_ARGUMENT,
        "the request is no message of its type",
    )
    assert [line["log_level"] for line in logged] == ["info"]


async def test_a_report_that_does_not_come_holds_up_the_others_for_so_long_only(
    logged: list[EventDict],
) -> None:
    good = pb.UpdateTaskRequest(id=TASK, token=callback_token()).SerializeToString()
    async with listening(at_once=1, within_s=0.2) as channel:
        stub: Any = channel.stream_unary("/inferry.v1.TaskService/UpdateTask")
        slow = stub(never())
        await slow.wait_for_connection()
        await call(channel, "UpdateTask", good)
        code, text, _ = await failure(slow)
        assert (code, text) == (
            StatusCode.UNAVAILABLE,
            "the request took longer than 0.2 s to come",
        )
        await call(channel, "UpdateTask", good)


async def test_a_report_that_is_given_up_makes_room(logged: list[EventDict]) -> None:
    good = pb.UpdateTaskRequest(id=TASK, token=callback_token()).SerializeToString()
    async with listening(at_once=1, within_s=3_600) as channel:
        slow: Any = channel.stream_unary("/inferry.v1.TaskService/UpdateTask")(never())
        waiting = asyncio.ensure_future(call(channel, "UpdateTask", good))
        slow.cancel()
        async with asyncio.timeout(20):
            await waiting


@pytest.mark.parametrize("name", ["Check", "Watch"])
async def test_a_probe_without_a_token_is_small(channel: grpc.aio.Channel, name: str) -> None:
    small = health_pb2.HealthCheckRequest().SerializeToString()
    large = health_pb2.HealthCheckRequest(service="x" * 5_000).SerializeToString()
    probe: Any = channel.unary_stream(f"/grpc.health.v1.Health/{name}")
    assert await probe(small).read() == b"\x08\x01"
    with pytest.raises(AioRpcError) as refused:
        await probe(large).read()
    assert refused.value.code() is StatusCode.INVALID_ARGUMENT
    assert "the limit is 4096" in (refused.value.details() or "")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x0a\xff", "the request is no message of its type"),
        (b"\x0a\x01\xff", "the request is no message of its type"),
        (None, "the request is missing"),
    ],
)
async def test_a_probe_that_is_none_is_its_senders_mistake(
    channel: grpc.aio.Channel, raw: bytes | None, text: str
) -> None:
    probe: Any = channel.stream_unary("/grpc.health.v1.Health/Check")
    code, said, details = await failure(probe(iter([] if raw is None else [raw])))
    assert (code, said) == (StatusCode.INVALID_ARGUMENT, text)
    assert details == [info("INVALID_PAYLOAD")]


async def test_a_probe_that_does_not_come_is_given_up() -> None:
    server = grpc.aio.server()
    add_method(server, bounded(grpc.unary_unary_rpc_method_handler(nothing), within_s=0.2))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
        stub: Any = channel.stream_unary("/open/method")
        code, text, _ = await failure(stub(never()))
    await server.stop(None)
    expected = "the request took longer than 0.2 s to come"
    assert (code, text) == (StatusCode.UNAVAILABLE, expected)


async def nothing(_raw: bytes, _context: Any) -> bytes:
    return b""


def add_method(server: grpc.aio.Server, handler: Any) -> None:
    generic = grpc.method_handlers_generic_handler("open", {"method": handler})
    server.add_generic_rpc_handlers([generic])


def test_the_head_of_a_report_is_the_same_alone_and_in_a_stream() -> None:
    for name in ("id", "token"):
        alone = pb.UpdateTaskRequest.DESCRIPTOR.fields_by_name[name]
        streamed = pb.ReportTaskRequest.DESCRIPTOR.fields_by_name[name]
        assert (alone.number, alone.type) == (streamed.number, streamed.type)
