"""A gateway as the bridge sees it: scripted servicers behind a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc.aio
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.v1 import (
    access_service_pb2_grpc,
    queue_service_pb2_grpc,
    server_service_pb2_grpc,
    task_service_pb2_grpc,
)
from inferry.v1.access_service_pb2 import CheckAccessRequest, CheckAccessResponse

Answer = Callable[[Any, Any], Awaitable[Any]]


class Upstream:
    """Answers RPCs as a test says, and remembers what was asked."""

    def __init__(self) -> None:
        #: RPC -> its response, the error to raise, or what to call.
        self.answers: dict[str, Message | Exception | Answer] = {}
        #: What was asked: RPC and request.
        self.asked: list[tuple[str, Any]] = []
        self.metadata: dict[str, str | bytes] = {}
        #: The events of a watch; None ends it.
        self.events: asyncio.Queue[Message | Exception | None] = asyncio.Queue()
        #: What was asked before a body was read.
        self.checked: list[CheckAccessRequest] = []
        #: The refusal of whoever has a body to send; None lets everybody in.
        self.stranger: RefusalError | None = None
        #: Set when a call has come.
        self.begun = asyncio.Event()
        #: Set when a call was broken off by the caller.
        self.broken_off = asyncio.Event()

    @property
    def last(self) -> Any:
        """The last request."""
        return self.asked[-1][1]

    async def answer(self, rpc: str, request: Any, context: Any) -> Any:
        self._note(rpc, request, context)
        answer = self.answers[rpc]
        if isinstance(answer, Message):
            return answer
        if isinstance(answer, Exception):
            return await _fail(answer, context)
        try:
            return await answer(request, context)
        except asyncio.CancelledError:
            self.broken_off.set()
            raise

    async def stream(self, rpc: str, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note(rpc, request, context)
        try:
            while (event := await self.events.get()) is not None:
                if isinstance(event, Exception):
                    await _fail(event, context)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            # The latter when the end comes while the event is still being sent.
            self.broken_off.set()
            raise

    def _note(self, rpc: str, request: Any, context: Any) -> None:
        self.asked.append((rpc, request))
        self.metadata = dict(context.invocation_metadata())
        self.begun.set()


class RefusalError(Exception):
    """An RPC error with the details that the gateway sends."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


async def _fail(error: Exception, context: Any) -> None:
    if not isinstance(error, RefusalError):
        raise error
    if not error.details:
        await context.abort(error.code, error.message)
    status = Status(code=error.code.value[0], message=error.message)
    for detail in error.details:
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    await context.abort_with_status(rpc_status.to_status(status))


def _servicer(base: type[Any], upstream: Upstream, **own: Answer) -> Any:
    """Fills a generated servicer: every RPC asks the upstream but for those that are given."""

    def method(rpc: str) -> Any:
        async def stream(_self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
            async for event in upstream.stream(rpc, request, context):
                yield event

        async def answer(_self: Any, request: Any, context: Any) -> Any:
            return await upstream.answer(rpc, request, context)

        return stream if rpc in {"WatchTask", "WatchTasks"} else answer

    rpcs = [name for name in vars(base) if not name.startswith("_")]
    given = {rpc: staticmethod(answer) for rpc, answer in own.items()}
    return type(base.__name__, (base,), {rpc: method(rpc) for rpc in rpcs} | given)()


def _doorkeeper(upstream: Upstream) -> Any:
    """Lets everybody in unless the test says otherwise."""

    async def check(request: CheckAccessRequest, context: Any) -> CheckAccessResponse:
        upstream.checked.append(request)
        if upstream.stranger is not None:
            await _fail(upstream.stranger, context)
        return CheckAccessResponse()

    servicer = access_service_pb2_grpc.AccessServiceServicer
    return _servicer(servicer, upstream, CheckAccess=check)


@asynccontextmanager
async def running_upstream() -> AsyncIterator[tuple[Upstream, grpc.aio.Channel]]:
    upstream = Upstream()
    server = grpc.aio.server()
    task_service_pb2_grpc.add_TaskServiceServicer_to_server(
        _servicer(task_service_pb2_grpc.TaskServiceServicer, upstream), server
    )
    server_service_pb2_grpc.add_ServerServiceServicer_to_server(
        _servicer(server_service_pb2_grpc.ServerServiceServicer, upstream), server
    )
    queue_service_pb2_grpc.add_QueueServiceServicer_to_server(
        _servicer(queue_service_pb2_grpc.QueueServiceServicer, upstream), server
    )
    access_service_pb2_grpc.add_AccessServiceServicer_to_server(_doorkeeper(upstream), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield upstream, channel
    await server.stop(None)


class Client:
    """Calls a bridge."""

    def __init__(self, http: aiohttp.ClientSession, upstream: Upstream, port: int) -> None:
        self.http = http
        self.upstream = upstream
        self.port = port

    async def call(
        self, verb: str, path: str, body: Any = None, **options: Any
    ) -> tuple[int, Any, dict[str, str]]:
        """Sends JSON; returns status, JSON and headers."""
        if body is not None:
            options["json"] = body
        async with self.http.request(verb, path, **options) as response:
            content = await response.json(content_type=None)
            return response.status, content, dict(response.headers)

    async def raw(self, sent: bytes) -> bytes:
        """Sends bytes on a connection of its own; returns all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def running_bridge(**settings: Any) -> AsyncIterator[Client]:
    async with running_upstream() as (upstream, channel):
        bridge = Bridge(channel, BridgeConfig(port=0, **settings))
        host, port = await bridge.start()
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            yield Client(http, upstream, port)
        await bridge.stop(1.0)
