"""How connections end when the bridge stops: what was asked is answered."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import GetTaskResponse
from tests.bridge.upstream import Upstream, running_upstream

GET = b"GET /api/tasks/task_1 HTTP/1.1\r\nHost: a\r\n\r\n"
GRACE_S = 60.0


@pytest.fixture
async def served() -> AsyncIterator[tuple[Bridge, Upstream, tuple[str, int]]]:
    async with running_upstream() as (upstream, channel):

        async def answer(request: object, context: object) -> GetTaskResponse:
            return GetTaskResponse(task=Task(id="task_1"))

        upstream.answers["GetTask"] = answer
        bridge = Bridge(channel, BridgeConfig(port=0))
        address = await bridge.start()
        yield bridge, upstream, address
        await bridge.stop(0)


Served = tuple[Bridge, Upstream, tuple[str, int]]


async def hear(reader: asyncio.StreamReader) -> bytes:
    """Reads the head of an answer, and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r")[0]))
    return head


async def test_an_idle_connection_may_bring_a_last_request(served: Served) -> None:
    bridge, _, address = served
    reader, writer = await asyncio.open_connection(*address)
    writer.write(GET)
    assert b"Connection: close" not in await hear(reader)
    stopping = asyncio.create_task(bridge.stop(GRACE_S))
    await asyncio.sleep(0)
    writer.write(GET)
    head = await hear(reader)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in head
    assert await reader.read() == b""
    await stopping
    writer.close()


async def test_who_has_connected_and_not_been_noticed_yet_is_answered(served: Served) -> None:
    bridge, _, address = served
    # All of this in one step of the loop: nobody can accept it meanwhile.
    with socket.create_connection(address) as client:
        client.sendall(GET)
        stopping = asyncio.create_task(bridge.stop(GRACE_S))
        reader, writer = await asyncio.open_connection(sock=client)
        assert (await hear(reader)).startswith(b"HTTP/1.1 200")
        await stopping
        writer.close()


async def test_a_request_that_is_still_coming_is_answered(served: Served) -> None:
    bridge, upstream, address = served
    reader, writer = await asyncio.open_connection(*address)
    writer.write(GET)
    await hear(reader)
    upstream.asked.clear()
    writer.write(GET[:9])
    await writer.drain()
    stopping = asyncio.create_task(bridge.stop(GRACE_S))
    await asyncio.sleep(0)
    writer.write(GET[9:])
    assert b"Connection: close" in await hear(reader)
    assert len(upstream.asked) == 1
    await stopping
    writer.close()


async def test_a_connection_that_brings_nothing_is_closed(served: Served) -> None:
    bridge, _, address = served
    used, unused = [await asyncio.open_connection(*address) for _ in range(2)]
    used[1].write(GET)
    await hear(used[0])
    await bridge.stop(GRACE_S)
    for reader, writer in (used, unused):
        assert await reader.read() == b""
        writer.close()
