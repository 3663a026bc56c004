"""Every RPC of one answer, asked wrongly in all ways: refused in words, alike at both doors."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from inferry.bridge.services import services
from inferry.server.access.tokens import Role
from tests.gateways import Running, running_gateway, token
from tests.receivers import NETWORKS

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
METHODS = [
    method
    for service in services()
    for method in service.descriptor.methods
    if not method.client_streaming and not method.server_streaming
]


class Said(NamedTuple):
    """What an RPC was answered with."""

    code: StatusCode
    #: With one number for all: some tell the time.
    words: str


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, webhook_networks=NETWORKS, queue_limit=100) as gateway:
        yield gateway


@pytest.fixture
async def wire(gateway: Running) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        yield channel


def in_bytes(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


async def ask(channel: Any, method: MethodDescriptor, request: Any, role: Role) -> Said:
    """Calls an RPC with a message or, over the wire, with bytes."""
    assert method.containing_service is not None
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=in_bytes,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    metadata = (("authorization", f"Bearer {token(role)}"),)
    try:
        answer = await call(request, metadata=metadata, timeout=20)
    except grpc.aio.AioRpcError as error:
        return Said(error.code(), re.sub(r"[0-9]+", "0", error.details() or ""))
    return Said(StatusCode.OK, str(answer))


def values(field: Any) -> tuple[Any, ...]:
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
    return (kind(), *hostile(kind)) if ours else (kind(),)


def hostile(kind: type[Message]) -> Iterator[Message]:
    """Gives messages of which one field is wrong, and the same where the others say something."""
    whole = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            setattr(whole, field.name, "http://127.0.0.1:9/" if field.name == "url" else TASK)
    for field in kind.DESCRIPTOR.fields:
        for value in values(field):
            many = field.is_repeated and not isinstance(value, dict)
            for others in (kind(), whole):
                message = kind(**{field.name: [value] * 40 if many else value})
                filled = kind()
                filled.CopyFrom(others)
                filled.ClearField(field.name)
                filled.MergeFrom(message)
                yield filled


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ADMIN])
async def test_whatever_is_asked_is_refused_in_words_and_alike_at_both_doors(
    gateway: Running, wire: grpc.aio.Channel, role: Role
) -> None:
    for method in METHODS:
        for request in hostile(GetMessageClass(method.input_type)):
            near = await ask(gateway.gateway.channel, method, request, role)
            far = await ask(wire, method, request, role)
            said = method.name, str(request)[:500], near, far
            assert {near.code, far.code} <= REFUSED, said
            # A code holds once, a throttle counts, and so on: but what is wrong is wrong twice.
            if StatusCode.INVALID_ARGUMENT in (near.code, far.code):
                assert near == far, said


async def test_bytes_that_are_no_request_are_refused_over_the_wire(
    gateway: Running, wire: grpc.aio.Channel
) -> None:
    for method in METHODS:
        wrong = [b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f"]
        for field in method.input_type.fields:
            tag = field.number << 3
            # A number, eight bytes, a text that is no UTF-8, and a group that does not end.
            wrong += [_tagged(tag, b"\1"), _tagged(tag | 1, b"12345678")]
            wrong += [_tagged(tag | 2, b"\2\xff\xfe"), _tagged(tag | 3, b"")]
        for request in wrong:
            said = await ask(wire, method, request, Role.CLIENT)
            assert said.code in REFUSED, (method.name, request, said)


def _tagged(tag: int, value: bytes) -> bytes:
    """Makes a field as it travels."""
    head = bytes((tag,)) if tag < 128 else bytes((tag & 0x7F | 0x80, tag >> 7))
    return head + value
