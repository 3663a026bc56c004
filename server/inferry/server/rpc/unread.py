"""Messages that come over a socket, as bytes: read and parsed no sooner than they may be.

Parsed, a message of many small values takes fourteen times its bytes, and compressed it comes in a
thousandth of them: no stranger's is worth that. A report tells its task and its token before the
report itself is looked at.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc.aio import EOF

from inferry.server.access.callback import CallbackVerifier
from inferry.server.errors import InferryError, InvalidPayloadError, UnavailableError
from inferry.server.rpc.call_log import Context
from inferry.server.rpc.pace import Pace
from inferry.server.rpc.status import to_grpc
from inferry.v1.task_service_pb2 import UpdateTaskRequest

Parse = Callable[[bytes], Any]

#: Reports of unknown senders that are read at once; the others wait for their turn.
_AT_ONCE = 16
#: How long such a report may take to come: as long as a body over REST by default.
_WITHIN_S = 30.0
#: What anybody may send without a token: the name of a service, to probe it.
_OPEN_BYTES = 4_096
#: How long that may take to come: a large one would be held until all of it is there.
_OPEN_WITHIN_S = 5.0


def parsing(handler: "grpc.RpcMethodHandler[Any, Any]", limit: int | None = None) -> Parse:
    """Makes what parses the messages of a method.

    The result raises ``InvalidPayloadError`` for what is no such message, or larger than ``limit``
    bytes.
    """
    read = handler.request_deserializer
    if read is None:
        return lambda raw: raw

    def parse(raw: bytes) -> Any:
        if limit is not None and len(raw) > limit:
            raise InvalidPayloadError(f"a message has {len(raw)} bytes; the limit is {limit}")
        try:
            return read(raw)
        except DecodeError:
            raise InvalidPayloadError("the request is no message of its type") from None

    return parse


class Vouching:
    """Reads reports whose senders have no token of their own: each vouches for itself.

    So many at once, and each within its time: what strangers make the gateway hold is bounded.

    Args:
        callbacks: Verifies the tokens of callbacks.
        at_once: Messages being received at once.
        within_s: How long one may take to come.
    """

    def __init__(
        self, callbacks: CallbackVerifier, at_once: int = _AT_ONCE, within_s: float = _WITHIN_S
    ) -> None:
        self._verify = callbacks.verify
        self._reading = asyncio.Semaphore(at_once)
        self._within_s = within_s
        self._pace = Pace()

    def behaviour(
        self,
        handler: "grpc.RpcMethodHandler[Any, Any]",
        behaviour: Callable[[Any, Context], Any],
        refusal: InferryError,
    ) -> Callable[[Any, Context], AsyncGenerator[Any, None]]:
        """Makes the behaviour of a stream of bytes from that of a method with one response.

        Args:
            handler: The method's.
            behaviour: What runs it.
            refusal: What a message without a token gets.
        """
        parse = parsing(handler)

        async def vouched(_messages: Any, context: Context) -> AsyncGenerator[Any, None]:
            requests = self._requests(context, parse, refusal)
            if handler.request_streaming:
                yield await behaviour(requests, context)
                return
            request = await anext(requests, None)
            if request is None:
                raise _missing()
            answer = behaviour(request, context)
            del request
            yield await answer

        return vouched

    async def _requests(
        self, context: Context, parse: Parse, refusal: InferryError
    ) -> AsyncGenerator[Any, None]:
        # Read one by one: an iterator over them would keep the last one alive.
        async with self._reading:
            raw = await _read_soon(context, self._pace, self._within_s)
            fault = self._fault(raw, refusal)
        while raw is not EOF:
            if fault is not None:
                # An error keeps the variables of whoever raised it.
                del raw
                raise fault
            request = parse(raw)
            del raw
            yield request
            del request
            raw = await self._pace.read(context)
            fault = self._fault(raw, refusal)

    def _fault(self, raw: Any, refusal: InferryError) -> InferryError | None:
        """Tells what keeps a message from being read further."""
        if raw is EOF:
            return None
        try:
            head: Any = _Head.FromString(raw)
        except DecodeError:
            return refusal
        if not head.token:
            return refusal
        try:
            self._verify(head.id, head.token)
        except InferryError as error:
            return error.with_traceback(None)
        return None


def bounded(
    handler: "grpc.RpcMethodHandler[Any, Any]", within_s: float = _OPEN_WITHIN_S
) -> "grpc.RpcMethodHandler[Any, Any]":
    """Bounds the messages of a method that needs no token: they are small, and come soon.

    Streams of requests are left as they are.

    Args:
        handler: The method's.
        within_s: How long a message may take to come.
    """
    if handler.request_streaming:
        return handler
    parse = parsing(handler)
    behaviour: Any = handler.unary_stream or handler.unary_unary
    pace = Pace()

    async def answers(_messages: Any, context: Context) -> AsyncGenerator[Any, None]:
        try:
            request = parse(await _small(context, pace, within_s))
        except InferryError as refusal:
            await context.abort_with_status(to_grpc(refusal))
        if handler.response_streaming:
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    yield response
        else:
            yield await behaviour(request, context)

    return grpc.stream_stream_rpc_method_handler(answers, None, handler.response_serializer)


async def _small(context: Context, pace: Pace, within_s: float) -> Any:
    """Reads a message of a stranger; one that is large is let go of at once."""
    raw = await _read_soon(context, pace, within_s)
    if raw is EOF:
        raise _missing()
    size = len(raw)
    if size > _OPEN_BYTES:
        # An error keeps the variables of whoever raised it.
        del raw
        raise InvalidPayloadError(f"the request has {size} bytes; the limit is {_OPEN_BYTES}")
    return raw


async def _read_soon(context: Context, pace: Pace, within_s: float) -> Any:
    try:
        async with asyncio.timeout(within_s):
            return await pace.read(context)
    except TimeoutError:
        raise UnavailableError(f"the request took longer than {within_s:g} s to come") from None


def _missing() -> InvalidPayloadError:
    return InvalidPayloadError("the request is missing")


def _head_of(message: Descriptor) -> type[Any]:
    """Makes a message type with the id and the token of another, to which all else is unknown."""
    whole = DescriptorProto()
    message.CopyToProto(whole)
    file = FileDescriptorProto(name="head.proto", package="head", syntax="proto3")
    head = file.message_type.add(name="Head")
    head.field.extend(field for field in whole.field if field.name in {"id", "token"})
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("head.Head"))


#: ``ReportTaskRequest`` has the same numbers; a test holds that.
_Head = _head_of(UpdateTaskRequest.DESCRIPTOR)
