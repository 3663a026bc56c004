"""What only holds in the same process; what holds there as on a socket is in ``rpc``."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import StatusCode
from grpc_status import rpc_status

from inferry.server.access.callback import CallbackVerifier
from inferry.server.access.keys import SecretKey
from inferry.server.access.tokens import Role, TokenVerifier, issue_token
from inferry.server.clock import SystemClock
from inferry.server.errors import NotFoundError
from inferry.server.rpc.admission import CALLER, Admission, caller
from inferry.server.rpc.interceptors import ServerInterceptor
from inferry.server.rpc.local.channel import LocalChannel
from inferry.server.rpc.local.context import LocalContext
from inferry.server.rpc.unread import Vouching
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_service_pb2_grpc import (
    TaskServiceServicer,
    TaskServiceStub,
    add_TaskServiceServicer_to_server,
)
from tests.server.token_rules import TOKEN_RULES

if TYPE_CHECKING:
    from inferry.v1.task_service_pb2_grpc import TaskServiceAsyncStub

SECRET = b"0123456789abcdef0123456789abcdef"
TOKEN = issue_token(SECRET, "somebody", Role.ADMIN, None, 86_400, SystemClock().now_ms())
METADATA = (("authorization", f"Bearer {TOKEN}"),)
ANSWER = pb.GetTaskResponse()


class Servicer(TaskServiceServicer):
    def __init__(self) -> None:
        self.request: Any = None
        self.context: Any = None
        self.task: Any = None
        self.started = asyncio.Event()
        self.ended = asyncio.Event()

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> Any:
        self.request, self.context, self.task = request, context, asyncio.current_task()
        if request.id == "unknown":
            raise NotFoundError("no task unknown")
        if request.id == "soft":
            context.set_code(StatusCode.DATA_LOSS)
            context.set_details("softly")
        if request.wait_seconds:
            self.started.set()
            await asyncio.get_running_loop().create_future()
        return ANSWER

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Any) -> Any:
        self.context = context
        self.started.set()
        try:
            while True:
                assert caller().subject == "somebody"
                yield pb.WatchTaskResponse()
        finally:
            self.ended.set()

    async def ReportTask(self, request_iterator: Any, context: Any) -> Any:
        (request,) = [request async for request in request_iterator]
        return pb.ReportTaskResponse(id=request.id)


@pytest.fixture
def channel() -> LocalChannel:
    verifier = TokenVerifier(SecretKey(SECRET), SystemClock(), TOKEN_RULES)
    vouching = Vouching(CallbackVerifier(SECRET))
    return LocalChannel(ServerInterceptor(Admission(verifier), vouching))


@pytest.fixture
def servicer(channel: LocalChannel) -> Servicer:
    servicer = Servicer()  # type: ignore[abstract]
    add_TaskServiceServicer_to_server(servicer, channel)
    return servicer


@pytest.fixture
def stub(channel: LocalChannel) -> "TaskServiceAsyncStub":
    return TaskServiceStub(channel)


async def test_request_and_response_are_handed_over_as_they_are(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    request = pb.GetTaskRequest(id="task_1")
    assert await stub.GetTask(request, metadata=METADATA) is ANSWER
    assert servicer.request is request
    assert servicer.task is asyncio.current_task()


async def test_stubs_may_be_made_before_the_servicers(
    stub: "TaskServiceAsyncStub", channel: LocalChannel
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetTask(pb.GetTaskRequest(id="task_1"), metadata=METADATA)
    assert caught.value.code() is StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.WatchTask(pb.WatchTaskRequest(id="task_1"), metadata=METADATA).read()
    assert caught.value.code() is StatusCode.UNIMPLEMENTED
    add_TaskServiceServicer_to_server(Servicer(), channel)  # type: ignore[abstract]
    assert await stub.GetTask(pb.GetTaskRequest(id="task_1"), metadata=METADATA) is ANSWER


async def test_a_call_does_nothing_before_it_is_awaited(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    call = stub.GetTask(pb.GetTaskRequest(id="task_1"), metadata=METADATA)
    stream = stub.WatchTask(pb.WatchTaskRequest(id="task_1"), metadata=METADATA)
    await asyncio.sleep(0)
    assert servicer.request is None
    assert not servicer.started.is_set()
    assert call.cancel()
    assert stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(asyncio.CancelledError):
        await stream.read()
    assert servicer.request is None


async def test_whoever_awaits_a_call_second_gets_the_same(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    call = stub.GetTask(pb.GetTaskRequest(id="unknown"), metadata=METADATA)
    results = await asyncio.gather(*(_settled(call) for _ in range(3)))
    assert [error.code() for error in results] == [StatusCode.NOT_FOUND] * 3


async def _settled(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_the_status_can_be_read_from_the_call(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    call: Any = stub.GetTask(pb.GetTaskRequest(id="unknown"), metadata=METADATA)
    status: Any = await rpc_status.aio.from_call(call)
    assert status.message == "no task unknown"


async def test_a_status_that_was_only_set_counts(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    error = await _settled(stub.GetTask(pb.GetTaskRequest(id="soft"), metadata=METADATA))
    assert (error.code(), error.details()) == (StatusCode.DATA_LOSS, "softly")


async def test_a_stream_that_is_dropped_is_closed(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    async for _ in stub.WatchTask(pb.WatchTaskRequest(id="task_1"), metadata=METADATA):
        break
    gc.collect()
    await servicer.ended.wait()
    assert servicer.context.cancelled()


async def test_a_stream_that_is_cancelled_between_two_responses_is_closed(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    call = stub.WatchTask(pb.WatchTaskRequest(id="task_1"), metadata=METADATA)
    await call.read()
    assert call.cancel()
    await servicer.ended.wait()
    assert await call.code() is StatusCode.CANCELLED
    with pytest.raises(asyncio.CancelledError):
        await call.read()


async def test_the_principal_does_not_leak_to_the_caller(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    call = stub.WatchTask(pb.WatchTaskRequest(id="task_1"), metadata=METADATA)
    for _ in range(2):
        # Each step in a task of its own, as under a timeout.
        await asyncio.create_task(call.read())
        assert CALLER.get() is None
    await stub.GetTask(pb.GetTaskRequest(id="task_1"), metadata=METADATA)
    assert CALLER.get() is None
    call.cancel()
    await servicer.ended.wait()


async def test_requests_come_from_any_iterator_and_nothing_else(
    stub: "TaskServiceAsyncStub", servicer: Servicer
) -> None:
    async def requests() -> AsyncIterator[pb.ReportTaskRequest]:
        yield pb.ReportTaskRequest(id="task_1")

    for given in (requests(), iter([pb.ReportTaskRequest(id="task_1")])):
        assert (await stub.ReportTask(given, metadata=METADATA)).id == "task_1"
    with pytest.raises(grpc.aio.UsageError):
        stub.ReportTask(metadata=METADATA)
    call = stub.ReportTask(requests(), metadata=METADATA)
    with pytest.raises(grpc.aio.UsageError):
        await call.write(pb.ReportTaskRequest())
    with pytest.raises(grpc.aio.UsageError):
        await call.done_writing()


async def test_a_channel_is_always_ready_and_listens_nowhere(channel: LocalChannel) -> None:
    async with channel:
        await channel.channel_ready()
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        await channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
        await channel.start()
        assert await channel.wait_for_termination() is False
        with pytest.raises(grpc.aio.UsageError):
            channel.add_insecure_port("127.0.0.1:0")
        with pytest.raises(grpc.aio.UsageError):
            channel.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(b"", b"")]))
        await channel.stop(None)


async def test_a_context_knows_its_call() -> None:
    context = LocalContext((("key", "value"),), 60)
    ended: list[Any] = []
    context.add_done_callback(ended.append)
    assert list(context.invocation_metadata()) == [("key", "value")]
    assert 0 < context.time_remaining() <= 60
    assert LocalContext(None, None).time_remaining() is None
    assert context.peer() == "local"
    assert (context.peer_identities(), context.peer_identity_key()) == (None, None)
    assert not context.auth_context()
    assert not context.done()
    context.end()
    context.end()
    assert context.done()
    assert context.code() is StatusCode.OK
    context.add_done_callback(ended.append)
    assert ended == [context, context]


async def test_a_context_has_no_messages_of_its_own() -> None:
    context = LocalContext(None, None)
    context.set_compression(grpc.Compression.Gzip)
    context.disable_next_message_compression()
    with pytest.raises(grpc.aio.UsageError):
        await context.read()
    with pytest.raises(grpc.aio.UsageError):
        await context.write(None)


async def test_what_is_raised_past_the_interceptor_is_not_shown(channel: LocalChannel) -> None:
    async def check(request: Any, context: Any) -> Any:
        raise ValueError("swordfish")

    handler: Any = grpc.unary_unary_rpc_method_handler(check)
    channel.add_registered_method_handlers("grpc.health.v1.Health", {"Check": handler})
    call = channel.unary_unary("/grpc.health.v1.Health/Check")(None)
    error = await _settled(call)
    assert error.code() is StatusCode.UNKNOWN
    assert "swordfish" not in (error.details() or "")
