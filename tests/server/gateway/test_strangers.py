"""What those who have no token can make a gateway do: next to nothing."""

import asyncio
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Value
from grpc import StatusCode

from inferry.v1 import task_service_pb2 as pb
from inferry.wire.limits import MESSAGE_BYTES
from tests.gateways import Running
from tests.processes import GatewayProcess

#: Four bytes each in a message, some sixty once parsed.
NULLS = MESSAGE_BYTES // 4 - 1_000
MESSAGES = 20
#: Far above what is needed, far below what the messages would take: fifteen times their bytes.
GROWTH_MIB = 250

TASK = "task_01HK153X00PYXZ6CXT0BGWJ8MG"
WRONG = (("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA"),)
FORGED = f"1.srv_01HK153X00PYXZ6CXT0BGWJ8MG.{'A' * 24}"


def create() -> bytes:
    request = pb.CreateTaskRequest(type="echo")
    _fill(request.payload.fields["nulls"])
    return request.SerializeToString()


def report(token: str = "") -> bytes:
    request = pb.UpdateTaskRequest(id=TASK, token=token)
    _fill(request.update.result)
    return request.SerializeToString()


def _fill(value: Value) -> None:
    value.list_value.values.extend([Value(null_value=NULL_VALUE)] * NULLS)


def memory_mib(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (size,) = (line.split()[1] for line in status if line.startswith(f"{name}:"))
    return int(size) / 1024


async def refused(call: Any) -> StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


UNKNOWN, NOT_SO = StatusCode.UNAUTHENTICATED, StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("method", "message", "code"),
    [
        ("/inferry.v1.TaskService/CreateTask", create(), UNKNOWN),
        ("/inferry.v1.TaskService/UpdateTask", report(), UNKNOWN),
        ("/inferry.v1.TaskService/UpdateTask", report(FORGED), UNKNOWN),
        ("/inferry.v1.TaskService/ReportTask", report(FORGED), UNKNOWN),
        ("/inferry.v1.NoSuchService/Method", create(), StatusCode.UNIMPLEMENTED),
        # Of those that anybody may call, the name of a method or of a service is asked.
        ("/inferry.v1.AccessService/CheckAccess", create(), NOT_SO),
        ("/grpc.health.v1.Health/Check", create(), NOT_SO),
    ],
    ids=["create", "report", "forged", "stream", "unknown", "access", "health"],
)
async def test_large_messages_of_strangers_are_refused_and_take_no_memory(
    gateway_process: GatewayProcess, method: str, message: bytes, code: StatusCode
) -> None:
    before_mib = memory_mib(gateway_process.pid, "VmRSS")
    options = [("grpc.max_send_message_length", -1)]
    for metadata, compression in product(((), WRONG), grpc.Compression):
        async with grpc.aio.insecure_channel(gateway_process.grpc, options=options) as channel:
            stub: Any = channel.unary_unary(method)
            sent = [
                refused(stub(message, metadata=metadata, compression=compression))
                for _ in range(MESSAGES)
            ]
            assert set(await asyncio.gather(*sent)) == {code}
        assert memory_mib(gateway_process.pid, "VmHWM") - before_mib < GROWTH_MIB


async def test_large_bodies_of_strangers_are_refused_and_take_no_memory(
    gateway_process: GatewayProcess,
) -> None:
    before_mib = memory_mib(gateway_process.pid, "VmRSS")
    nulls = b'{"status":"COMPLETED","result":[' + b"null," * 600_000 + b"null]}"

    async def put(query: str, headers: dict[str, str]) -> int:
        url = f"{gateway_process.rest}/api/tasks/{TASK}{query}"
        async with http.put(url, data=BytesIO(nulls), headers=headers) as response:
            return response.status

    async with aiohttp.ClientSession() as http:
        for query, headers in product(("", f"?token={FORGED}"), ({}, dict(WRONG))):
            sent = [put(query, headers) for _ in range(MESSAGES)]
            assert set(await asyncio.gather(*sent)) == {401}
    assert memory_mib(gateway_process.pid, "VmHWM") - before_mib < GROWTH_MIB


@pytest.mark.parametrize("depth", [300, 100_000])
async def test_a_body_of_a_stranger_is_refused_whatever_is_in_it(
    gateway: Running, depth: int
) -> None:
    nested = b'{"status":"COMPLETED","result":' + b"[" * depth + b"]" * depth + b"}"
    for verb, path in (
        ("PUT", f"/api/tasks/{TASK}"),
        ("PUT", f"/api/tasks/{TASK}?token={FORGED}"),
        ("POST", "/api/tasks"),
        ("POST", "/api/servers/register"),
    ):
        async with gateway.http.request(verb, f"{gateway.url}{path}", data=nested) as response:
            body = await response.json()
            assert (response.status, body["code"]) == (401, "UNAUTHENTICATED"), path
