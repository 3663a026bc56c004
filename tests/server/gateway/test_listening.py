"""Where a gateway listens."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from inferry.bridge.ports import take_ports
from inferry.server.app.store import DATABASE
from inferry.wire.hosts import addresses_of, with_port
from tests.gateways import running_gateway
from tests.processes import start, start_gateway, start_mock


@pytest.fixture
async def ipv6() -> None:
    """This machine has IPv6: not every container does."""
    if "::1" not in await addresses_of("localhost"):
        pytest.skip("this machine has no IPv6")


@pytest.fixture
def taken(ipv6: None) -> Iterator[int]:
    """A port that somebody else has, on IPv6 only."""
    with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)) as other:
        yield other.getsockname()[1]


async def check(address: str) -> None:
    """Asks gRPC for its health; an error if nobody answers."""
    async with grpc.aio.insecure_channel(address) as channel:
        probes: Any = HealthStub(channel)
        await probes.Check(HealthCheckRequest())


async def test_localhost_listens_on_all_of_its_addresses_and_is_called_back(
    tmp_path: Path,
) -> None:
    gateway = await start_gateway(tmp_path, "--host", "localhost")
    rest, rpc = (int(url.rpartition(":")[2]) for url in (gateway.rest, gateway.grpc))
    mock = await start_mock(gateway)
    try:
        async with aiohttp.ClientSession() as http:
            for address in await addresses_of("localhost"):
                async with http.get(f"http://{with_port(address, rest)}/health") as response:
                    assert response.status == 200
                await check(with_port(address, rpc))
            # It ends by a callback.
            async with http.post(
                f"{gateway.rest}/api/tasks",
                json={"type": "test-processing"},
                headers={"Authorization": f"Bearer {gateway.token}", "Prefer": "wait=30"},
            ) as response:
                assert (await response.json())["status"] == "COMPLETED"
    finally:
        await mock.stop()
        await gateway.stop()


async def test_a_port_that_is_taken_on_one_address_is_refused_by_grpc(
    tmp_path: Path, taken: int
) -> None:
    with pytest.raises(OSError, match=rf"\[::1\]:{taken}"):
        async with running_gateway(tmp_path, host="localhost", grpc_port=taken):
            pass


async def test_a_port_that_is_taken_on_one_address_is_refused_by_rest(taken: int) -> None:
    with pytest.raises(OSError, match=str(taken)):
        await take_ports("localhost", taken)
    # The other address was let go.
    socket.create_server(("127.0.0.1", taken)).close()


async def test_a_grpc_port_that_is_taken_stops_the_start_before_the_disk_is_touched(
    tmp_path: Path,
) -> None:
    other = socket.create_server(("127.0.0.1", 0))
    with closing(other), pytest.raises(OSError, match="cannot listen"):
        async with running_gateway(tmp_path, grpc_port=other.getsockname()[1]):
            pass
    assert not (tmp_path / DATABASE).exists()


async def test_every_address_is_that_of_ipv4_too(tmp_path: Path, ipv6: None) -> None:
    flags = ("--host", "::", "--public-url", "http://gateway.example.com")
    secret = {"INFERRY_JWT_SECRET": "".join(map(chr, range(48, 122)))}
    log = tmp_path / "gateway.log"
    ports = ("--port", "0", "--grpc-port", "0")
    running = await start(log, "serve", "--data-dir", tmp_path, *ports, *flags, settings=secret)
    try:
        rest, rpc = (int(word.rpartition(":")[2]) for word in running.words[2:])
        async with aiohttp.ClientSession() as http:
            for address in await addresses_of("localhost"):
                async with http.get(f"http://{with_port(address, rest)}/health") as response:
                    assert response.status == 200
                await check(with_port(address, rpc))
    finally:
        await running.stop()
