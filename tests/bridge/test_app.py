import asyncio

import aiohttp
import grpc.aio
import pytest

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.bridge.ports import take_ports
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import GetTaskResponse, WatchTaskResponse
from tests.bridge.upstream import running_upstream


@pytest.fixture
def bridge_config() -> BridgeConfig:
    return BridgeConfig(port=0)


async def test_a_port_is_taken_before_it_is_served(bridge_config: BridgeConfig) -> None:
    async with running_upstream() as (_, channel):
        bridge = Bridge(channel, bridge_config)
        ports = await take_ports(bridge_config.host, bridge_config.port)
        host, port = ports.address
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            asked = asyncio.create_task(http.get("/health"))
            await bridge.serve(ports)
            async with await asked as response:
                assert response.status == 200
        await bridge.stop(1.0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, port)


async def test_a_port_is_taken_once() -> None:
    ports = await take_ports("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await take_ports(*ports.address)
    ports.close()
    ports.close()
    again = await take_ports(*ports.address)
    again.close()


async def test_stopping_twice_or_before_the_start_does_nothing(bridge_config: BridgeConfig) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        bridge = Bridge(channel, bridge_config)
        await bridge.stop(0)
        await bridge.start()
        await bridge.stop(0)
        await bridge.stop(0)


async def test_a_request_may_end_while_the_bridge_stops(bridge_config: BridgeConfig) -> None:
    async with running_upstream() as (upstream, channel):
        release = asyncio.Event()

        async def answer(request: object, context: object) -> GetTaskResponse:
            await release.wait()
            return GetTaskResponse(task=Task(id="task_1"))

        upstream.answers["GetTask"] = answer
        bridge = Bridge(channel, bridge_config)
        host, port = await bridge.start()
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            asked = asyncio.create_task(http.get("/api/tasks/task_1"))
            await upstream.begun.wait()
            stopped = asyncio.create_task(bridge.stop(60.0))
            await asyncio.sleep(0)
            release.set()
            assert (await (await asked).json())["id"] == "task_1"
            await stopped


async def test_what_does_not_end_is_broken_off(bridge_config: BridgeConfig) -> None:
    async with running_upstream() as (upstream, channel):

        async def answer(request: object, context: object) -> None:
            await asyncio.Event().wait()

        upstream.answers["GetTask"] = answer
        bridge = Bridge(channel, bridge_config)
        host, port = await bridge.start()
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            asked = asyncio.create_task(http.get("/api/tasks/task_1"))
            await upstream.begun.wait()
            await bridge.stop(0)
            with pytest.raises(aiohttp.ClientError):
                await asked
        await upstream.broken_off.wait()


async def test_streams_end_at_once_when_the_bridge_stops(bridge_config: BridgeConfig) -> None:
    async with running_upstream() as (upstream, channel):
        event = TaskEvent(task_id="task_1", seq=1, kind=TaskEvent.CREATED)
        upstream.events.put_nowait(WatchTaskResponse(event=event))
        bridge = Bridge(channel, bridge_config)
        host, port = await bridge.start()
        async with (
            aiohttp.ClientSession(f"http://{host}:{port}") as http,
            http.get("/api/tasks/task_1/events") as response,
        ):
            await response.content.readuntil(b"\n\n")
            await bridge.stop(3_600.0)
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        await upstream.broken_off.wait()
