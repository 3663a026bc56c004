"""Messages that come over a socket, as bytes: read and parsed no sooner than they may be.

Parsed, a message of many small values takes fourteen times its bytes, and compressed it comes in a
thousandth of them: no stranger's is worth that. A report tells its task and its token before the
report itself is looked at.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from inspect import iscoroutinefunction
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
from inferry.v1.task_service_pb2 import UpdateTaskRequest

Parse = Callable[[bytes], Any]

#: Reports of unknown senders that are read at once; the others wait for their turn.
_AT_ONCE = 16
#: How long such a report may take to come: as long as a body over REST by default.
_WITHIN_S = 30.0
#: What anybody may send without a token: the name of a service, to probe it.
_OPEN_BYTES = 4_096


def parsing(handler: "grpc.RpcMethodHandler[Any, Any]") -> Parse:
    """Makes what parses the messages of a method.

    The result raises ``InvalidPayloadError`` for what is no such message.
    """
    read = handler.request_deserializer
    if read is None:
        return lambda raw: raw

    def parse(raw: bytes) -> Any:
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
                raise InvalidPayloadError("the request is missing")
            answer = behaviour(request, context)
            del request
            yield await answer

        return vouched

    async def _requests(
        self, context: Context, parse: Parse, refusal: InferryError
    ) -> AsyncGenerator[Any, None]:
        # Read one by one: an iterator over them would keep the last one alive.
        async with self._reading:
            raw = await self._first(context)
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
            raw = await context.read()
            fault = self._fault(raw, refusal)

    async def _first(self, context: Context) -> Any:
        try:
            async with asyncio.timeout(self._within_s):
                return await context.read()
        except TimeoutError:
            raise UnavailableError(
                f"the request took longer than {self._within_s:g} s to come"
            ) from None

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


def bounded(handler: "grpc.RpcMethodHandler[Any, Any]") -> "grpc.RpcMethodHandler[Any, Any]":
    """Bounds the messages of a method that needs no token: they are parsed only if they are small.

    Streams of requests are left as they are.
    """
    parse = parsing(handler)
    unary: Any = handler.unary_unary
    stream: Any = handler.unary_stream

    async def small(raw: bytes, context: Context) -> Any:
        if len(raw) > _OPEN_BYTES:
            text = f"the request has {len(raw)} bytes; the limit is {_OPEN_BYTES}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        return parse(raw)

    async def ask(raw: bytes, context: Context) -> Any:
        return await unary(await small(raw, context), context)

    async def watch(raw: bytes, context: Context) -> None:
        await stream(await small(raw, context), context)

    if unary is not None:
        return grpc.unary_unary_rpc_method_handler(ask, None, handler.response_serializer)
    # The one of health probes writes its responses; what yields them would need another wrap.
    if iscoroutinefunction(stream):
        return grpc.unary_stream_rpc_method_handler(watch, None, handler.response_serializer)
    return handler


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
