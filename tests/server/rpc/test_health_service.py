"""Health over gRPC: what anybody may ask, and watch."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inferry.server.rpc.health_service import HealthServicer
from tests.server.rpc.wiring import failure, interceptor

Status = health_pb2.HealthCheckResponse.ServingStatus
GATEWAY = health_pb2.HealthCheckRequest()
OTHER = health_pb2.HealthCheckRequest(service="other")
ALIVE = health_pb2.HealthCheckRequest(service="livez")


@asynccontextmanager
async def serving(servicer: HealthServicer) -> AsyncIterator[tuple[Any, int]]:
    """Gives a stub and the port."""
    server = grpc.aio.server(interceptors=[interceptor()])
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
        yield health_pb2_grpc.HealthStub(channel), port
    await server.stop(None)


async def heard(watch: Any) -> str:
    return Status.Name((await watch.read()).status)


async def test_whoever_asks_or_watches_is_told_how_the_gateway_is() -> None:
    servicer = HealthServicer()
    async with serving(servicer) as (stub, _):
        watches = [stub.Watch(GATEWAY) for _ in range(3)]
        assert [await heard(watch) for watch in watches] == ["SERVING"] * 3
        servicer.say("store")
        assert [await heard(watch) for watch in watches] == ["NOT_SERVING"] * 3
        assert (await stub.Check(GATEWAY)).status == Status.Value("NOT_SERVING")
        servicer.say("")
        assert [await heard(watch) for watch in watches] == ["SERVING"] * 3


async def test_a_gateway_that_stops_is_not_ready_again() -> None:
    servicer = HealthServicer()
    async with serving(servicer) as (stub, _):
        watch = stub.Watch(GATEWAY)
        assert await heard(watch) == "SERVING"
        servicer.say("stopping")
        servicer.say("")
        assert await heard(watch) == "NOT_SERVING"
        assert (await stub.Check(GATEWAY)).status == Status.Value("NOT_SERVING")


async def test_why_a_gateway_is_not_ready_comes_with_the_answer() -> None:
    servicer = HealthServicer(reason="starting")
    async with serving(servicer) as (stub, _):
        for reason in ("starting", "store", "", "stopping"):
            servicer.say(reason)
            call = stub.Check(GATEWAY)
            assert Status.Name((await call).status) == ("NOT_SERVING" if reason else "SERVING")
            told = dict(await call.trailing_metadata())
            assert told.get("inferry-not-ready", "") == reason


async def test_a_gateway_that_is_not_ready_is_alive() -> None:
    servicer = HealthServicer(reason="starting")
    async with serving(servicer) as (stub, _):
        servicer.say("stopping")
        assert (await stub.Check(ALIVE)).status == Status.Value("SERVING")
        assert await heard(stub.Watch(ALIVE)) == "SERVING"


async def test_there_is_no_service_but_the_gateway() -> None:
    async with serving(HealthServicer()) as (stub, _):
        assert (await failure(stub.Check(OTHER)))[0] is StatusCode.NOT_FOUND
        assert await heard(stub.Watch(OTHER)) == "SERVICE_UNKNOWN"


async def test_who_takes_nothing_keeps_the_gateway_from_telling_nobody() -> None:
    servicer = HealthServicer()
    async with serving(servicer) as (stub, port):
        deaf = await watch_without_taking(port)
        watch = stub.Watch(GATEWAY)
        assert await heard(watch) == "SERVING"
        servicer.say("store")
        assert await heard(watch) == "NOT_SERVING"
        deaf.close()


async def test_so_many_may_watch_at_once() -> None:
    async with serving(HealthServicer(watchers=2)) as (stub, _):
        first, second = stub.Watch(GATEWAY), stub.Watch(OTHER)
        assert [await heard(watch) for watch in (first, second)] == ["SERVING", "SERVICE_UNKNOWN"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await heard(stub.Watch(GATEWAY))
        assert refused.value.code() is StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        while True:
            try:
                assert await heard(stub.Watch(GATEWAY)) == "SERVING"
            except grpc.aio.AioRpcError:
                # The cancel is on its way.
                continue
            break


async def watch_without_taking(port: int) -> asyncio.StreamWriter:
    """Watches over HTTP/2 with a window of 0 bytes: no answer can be sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    no_window = struct.pack(">HI", 4, 0)
    head = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/grpc.health.v1.Health/Watch",
        b":authority": b"gateway",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
    }
    fields = b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in head.items()
    )
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, no_window))
    writer.write(frame(1, 4, 1, fields) + frame(0, 1, 1, b"\0" * 5))
    # The head of the answer needs no window.
    await reader.readuntil(b"application/grpc")
    return writer


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return (
        struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body
    )
