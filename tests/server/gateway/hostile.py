"""Requests that are wrong in all ways, made from the protos, and what they are answered with."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from inferry.bridge.services import services
from inferry.server.access.tokens import Role
from tests.gateways import Running, token

TASK = "task_01HK153X00PYXZ6CXT0BGWJ8MG"
#: What says of a request that it is at fault, or that there is nothing to do.
REFUSED = {
    StatusCode.OK,
    StatusCode.INVALID_ARGUMENT,
    StatusCode.UNAUTHENTICATED,
    StatusCode.PERMISSION_DENIED,
    StatusCode.NOT_FOUND,
    StatusCode.ALREADY_EXISTS,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.RESOURCE_EXHAUSTED,
}
TEXTS = ("x", "\0", "\N{GRINNING FACE}" * 300, "'; DROP TABLE tasks; --", "%s%n\r\n", "../..")
NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), -1, 1, 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), -1, 1, 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: (float("nan"), float("inf"), -1e308, 1e308),
    FieldDescriptor.CPPTYPE_BOOL: (True,),
    FieldDescriptor.CPPTYPE_ENUM: (1, 99, -1),
}
TIMES = (
    Timestamp(seconds=2**63 - 1, nanos=2**31 - 1),
    Timestamp(seconds=-(2**63)),
    Timestamp(seconds=-62_135_596_800),
    Timestamp(seconds=253_402_300_799, nanos=999_999_999),
)
_ALL = [method for service in services() for method in service.descriptor.methods]
#: Those that are streamed either way, and the others.
STREAMS = [one for one in _ALL if one.client_streaming or one.server_streaming]
METHODS = [one for one in _ALL if one not in STREAMS]


class Said(NamedTuple):
    """What an RPC was answered with."""

    code: StatusCode
    #: Of an error, with one number for all: some tell the time.
    words: str
    #: The answers.
    heard: str


class Doors(NamedTuple):
    """The ways to a gateway: in this process, and over the wire."""

    near: Any
    wire: Any
    #: Of another library: see ``ask``.
    threaded: Any

    def far(self, method: MethodDescriptor) -> Any:
        """Gives the way over the wire of an RPC."""
        return self.threaded if method.client_streaming else self.wire


@asynccontextmanager
async def doors_of(gateway: Running) -> AsyncIterator[Doors]:
    """Opens them until the block ends."""
    address = gateway.gateway.grpc_address
    async with grpc.aio.insecure_channel(address) as wire:
        with grpc.insecure_channel(address) as threaded:
            yield Doors(gateway.gateway.channel, wire, threaded)


def call(channel: Any, method: MethodDescriptor, said: Any, auth: str, within_s: float = 20) -> Any:
    """Begins any RPC with a message, or an iterator of them; over the wire bytes are as good."""
    assert method.containing_service is not None
    asked, answered = (
        "stream" if streams else "unary"
        for streams in (method.client_streaming, method.server_streaming)
    )
    begin = getattr(channel, f"{asked}_{answered}")(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=_in_bytes,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    return begin(said, metadata=(("authorization", f"Bearer {auth}"),), timeout=within_s)


async def ask(channel: Any, method: MethodDescriptor, *requests: Any, role: Role) -> Said:
    """Calls any RPC and hangs up: whoever sent a stream hears all, others the first answer."""
    auth, sends = token(role), method.client_streaming
    if not isinstance(channel, grpc.aio.Channel):
        return await asyncio.to_thread(_ask, channel, method, requests, auth)
    heard = list[str]()
    asked = call(channel, method, _sent(requests) if sends else requests[0], auth)
    try:
        if method.server_streaming:
            async for answer in asked:
                heard.append(str(answer))
                if not sends:
                    break
        else:
            heard.append(str(await asked))
    except grpc.aio.AioRpcError as error:
        return _refused(error, heard)
    finally:
        asked.cancel()
    return Said(StatusCode.OK, "", "".join(heard))


def _ask(channel: Any, method: MethodDescriptor, requests: Sequence[Any], auth: str) -> Said:
    """Sends a stream from a thread.

    In ``grpc.aio`` a message that meets the end of its call puts an error of its own in the place
    of what the gateway said.
    """
    heard = list[str]()
    try:
        asked = call(channel, method, iter(requests), auth)
        for answer in asked if method.server_streaming else [asked]:
            heard.append(str(answer))
    except grpc.RpcError as error:
        return _refused(error, heard)
    return Said(StatusCode.OK, "", "".join(heard))


def _refused(error: Any, heard: Sequence[str]) -> Said:
    return Said(error.code(), re.sub(r"[0-9]+", "0", error.details() or ""), "".join(heard))


def values(field: Any, task: str) -> tuple[Any, ...]:
    """Lists what a field may be filled with; nothing for what has a test of its own."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXTS
    if field.type == FieldDescriptor.TYPE_BYTES:
        return (b"\xff\xfe", b"{" * 1_000)
    if field.message_type is None:
        return NUMBERS.get(field.cpp_type, (0,))
    if field.message_type is Timestamp.DESCRIPTOR:
        return TIMES
    if field.message_type.GetOptions().map_entry:
        return ({"": ""}, {"k" * 99: "v" * 999}, {"\0": "\0"}, {str(n): "" for n in range(99)})
    kind = GetMessageClass(field.message_type)
    ours = field.message_type.file.package == "inferry.v1"
    return (kind(), *hostile(kind, task)) if ours else (kind(),)


def hostile(kind: type[Message], task: str = TASK) -> Iterator[Message]:
    """Gives messages of which one field is wrong, and the same where the others say something."""
    whole = _whole(kind, task)
    for field in kind.DESCRIPTOR.fields:
        for value in values(field, task):
            many = field.is_repeated and not isinstance(value, dict)
            for others in (kind(), whole):
                message = kind(**{field.name: [value] * 40 if many else value})
                filled = kind()
                filled.CopyFrom(others)
                filled.ClearField(field.name)
                filled.MergeFrom(message)
                yield filled


def no_requests(kind: type[Message]) -> Iterator[bytes]:
    """Gives bytes that are no such message."""
    yield from (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f")
    for field in kind.DESCRIPTOR.fields:
        tag = field.number << 3
        # A number, eight bytes, a text that is no UTF-8, and a group that does not end.
        yield from (_tagged(tag, b"\1"), _tagged(tag | 1, b"12345678"))
        yield from (_tagged(tag | 2, b"\2\xff\xfe"), _tagged(tag | 3, b""))


def _whole(kind: Any, task: str) -> Message:
    """Makes a message that names a task, and its first attempt, wherever it can."""
    whole: Message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            setattr(whole, field.name, "http://127.0.0.1:9/" if field.name == "url" else task)
        elif field.name == "attempt" and field.message_type is None:
            setattr(whole, field.name, 1)
        elif field.name == "attempt":
            getattr(whole, field.name).CopyFrom(_whole(GetMessageClass(field.message_type), task))
    return whole


def _tagged(tag: int, value: bytes) -> bytes:
    """Makes a field as it travels."""
    head = bytes((tag,)) if tag < 128 else bytes((tag & 0x7F | 0x80, tag >> 7))
    return head + value


def _in_bytes(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


async def _sent(requests: Sequence[Any]) -> AsyncIterator[Any]:
    for request in requests:
        yield request
