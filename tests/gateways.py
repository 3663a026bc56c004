"""A whole gateway in this process: state, loops, gRPC and REST on free ports."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.bridge.ports import take_ports
from inferry.server.access.tokens import Role, issue_token
from inferry.server.app.gateway import Gateway
from inferry.server.clock import SteadyClock, SystemClock
from inferry.server.config import Config
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.backends import Backend
from tests.stores import stores

SECRET = token_urlsafe(48)


def token(role: Role = Role.ADMIN, tenant: str = "acme", subject: str = "tester") -> str:
    """Makes a token of these tests' gateways."""
    now_ms = SystemClock().now_ms()
    return issue_token(SECRET.encode(), subject, role, tenant, 3_600, now_ms)


class ShiftedClock(SteadyClock):
    """A gateway's clock, set forward by hand."""

    def __init__(self) -> None:
        super().__init__(lambda _by_ms, _ahead_ms: None)
        self.shift_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.shift_ms


@dataclass
class Running:
    """A gateway and ways to call it."""

    gateway: Gateway
    bridge: Bridge
    config: Config
    url: str
    http: aiohttp.ClientSession

    @property
    def tasks(self) -> Any:
        """An asynchronous TaskService stub in this process."""
        return TaskServiceStub(self.gateway.channel)

    @property
    def servers(self) -> Any:
        """An asynchronous ServerService stub in this process."""
        return ServerServiceStub(self.gateway.channel)

    async def call(
        self, verb: str, path: str, body: object = None, auth: str | None = None
    ) -> tuple[int, Any]:
        """Calls REST as an admin, or with another token; returns status and JSON body."""
        headers = {"Authorization": f"Bearer {token() if auth is None else auth}"}
        async with self.http.request(
            verb,
            f"{self.url}{path}",
            headers=headers,
            json=body,
            timeout=aiohttp.ClientTimeout(20),
        ) as response:
            return response.status, orjson.loads(await response.read())

    async def register(self, backend: Backend, **more: object) -> str:
        """Registers a backend; returns its id."""
        said = {"url": backend.url, "name": "backend", "capabilities": ["echo"], **more}
        status, body = await self.call("POST", "/api/servers/register", said)
        assert status == 200, body
        assert body["status"] == "active"
        return str(body["id"])

    async def probed(self, *server_ids: str) -> None:
        """Waits until the first probe of each server has told how it is."""
        for server_id in server_ids:
            await self.eventually(
                f"/api/servers/{server_id}",
                lambda server: bool({"load", "lastError"} & set(server)),
            )

    async def create(self, **more: object) -> dict[str, Any]:
        """Creates a task of type echo; returns it."""
        status, task = await self.call("POST", "/api/tasks", {"type": "echo", **more})
        assert status in (200, 202), task
        return dict(task)

    async def task(self, task_id: str, wait_s: float = 0) -> dict[str, Any]:
        """Reads a task, final if it becomes so within ``wait_s``."""
        status, task = await self.call("GET", f"/api/tasks/{task_id}?wait={wait_s:g}")
        assert status == 200, task
        return dict(task)

    async def eventually(
        self, path: str, wanted: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Reads a path until its answer is as wanted; what no event announces."""
        async with asyncio.timeout(20):
            while True:
                _, body = await self.call("GET", path)
                if wanted(body):
                    return dict(body)
                await asyncio.sleep(0.02)

    async def events(self, task_id: str, after: int = 0) -> list[dict[str, Any]]:
        """Watches a task to its end over SSE; returns the data of its numbered events."""
        async with self.http.get(
            f"{self.url}/api/tasks/{task_id}/events?after={after}",
            headers={"Authorization": f"Bearer {token()}"},
            timeout=aiohttp.ClientTimeout(20),
        ) as response:
            assert response.status == 200, await response.text()
            lines = [line async for line in response.content]
        events = [orjson.loads(line[5:]) for line in lines if line.startswith(b"data:")]
        return [event for event in events if event["kind"] != "QUEUED"]


@asynccontextmanager
async def running_gateway(
    data_dir: Path, clock: SteadyClock | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Runs a gateway until the block ends; with a ``path``, REST is known by that, too."""
    path = settings.pop("path", "")
    store = await stores.url(data_dir)
    given = {"port": 0, "grpc_port": 0, "store": store and SecretStr(store), **settings}
    config = Config(data_dir=data_dir, jwt_secret=SecretStr(SECRET), **given)
    ports = await take_ports("127.0.0.1", config.port)
    host, port = ports.address
    url = f"http://{host}:{port}{path}"
    gateway = Gateway(config, url, clock)
    bridge = Bridge(gateway.channel, BridgeConfig(port=0, public_url=url))
    try:
        await gateway.start()
        await bridge.serve(ports)
        async with aiohttp.ClientSession() as http:
            yield Running(gateway, bridge, config, url, http)
    finally:
        await bridge.stop(0.1)
        ports.close()
        await gateway.stop()
