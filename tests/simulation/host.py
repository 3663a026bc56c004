"""The machine that gateways run on: starts them, kills them, starts the next on the same disk."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import grpc
from grpc.aio import AioRpcError
from pydantic import SecretStr

from inferry.server import app, ids
from inferry.server.app import Gateway
from inferry.server.config import Config
from inferry.server.store import StoreError
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.simulation.disk import Disk, SimulatedStore
from tests.simulation.loop import SimulatedLoop, SimulatedTask
from tests.simulation.network import Network, SimulatedOutbound
from tests.simulation.world import ViolationError, World

SECRET = "a-secret-of-the-simulation-that-is-long"
PUBLIC_URL = "http://gateway"

_life: ContextVar["Life | None"] = ContextVar("life", default=None)


class BrokenError(Exception):
    """A call of the gateway brought no answer: nobody knows what came of it."""


class DownError(BrokenError):
    """There was no gateway to call: nothing came of it."""


class _NoServer:
    """Stands where the gateway serves sockets."""

    def add_insecure_port(self, _address: str) -> int:
        return 1

    def add_registered_method_handlers(self, *_services: Any) -> None:
        pass

    def add_generic_rpc_handlers(self, *_services: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self, _grace: float | None) -> None:
        pass


class Life:
    """One gateway process, from its start to its end."""

    def __init__(self, host: "Host", number: int) -> None:
        world = host.world
        self.number = number
        #: Every task that runs in it.
        self.tasks: dict[SimulatedTask, None] = {}
        #: It takes calls.
        self.serving = False
        self.dead = False
        self._random = world.random(f"life/{number}")
        self.store = SimulatedStore(host.disk)
        self._context = world.context
        self._context.run(_life.set, self)
        with _edges(self, host, self._random):
            self.gateway = Gateway(host.config, world)
        self.task_stub: Any = TaskServiceStub(self.gateway.channel)
        self.server_stub: Any = ServerServiceStub(self.gateway.channel)

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something in this process."""
        return asyncio.get_running_loop().create_task(coro, context=self._context.copy())

    def kill(self) -> None:
        """Ends it at once: whatever its tasks do from here on reaches neither disk nor network."""
        self.serving, self.dead = False, True
        self.store.kill()
        for task in list(self.tasks):
            task.cancel()


@contextmanager
def _edges(life: Life, host: "Host", random: Random) -> Iterator[None]:
    """Replaces what a gateway makes of disk, network, sockets and chance while it is built."""
    with patch.multiple(
        app,
        SqliteStore=lambda _path: life.store,
        Outbound=lambda *_limits: SimulatedOutbound(host.network, life),
        Random=lambda: Random(random.random()),
        grpc=SimpleNamespace(
            aio=SimpleNamespace(server=lambda **_options: _NoServer()),
        ),
    ):
        yield


@contextmanager
def deterministic(loop: SimulatedLoop, world: World) -> Iterator[None]:
    """Replaces what the gateway's modules take from the machine by what the world gives them."""

    def make(
        made_by: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None
    ) -> SimulatedTask:
        life = context.get(_life) if context is not None else _life.get()
        task = SimulatedTask(coro, loop=loop, context=context)
        if life is not None:
            life.tasks[task] = None
            task.add_done_callback(life.tasks.pop)
            if life.dead:
                task.cancel()
        return task

    loop.set_task_factory(make)
    with patch.object(ids, "ULID", world.new_ulid):
        yield


class Host:
    """Keeps a gateway running, one after the other."""

    def __init__(self, world: World, network: Network, disk: Disk, config: Config) -> None:
        self.world = world
        self.network = network
        self.disk = disk
        self.config = config
        self.life: Life | None = None
        self._lives = 0
        #: Milliseconds without a serving gateway, and since when there is none.
        self._crash_at: int | None = None

    async def run(self) -> None:
        """Starts gateways whenever none is there."""
        while True:
            await self._live()
            await asyncio.sleep(self.world.between(0.0, 0.1 if self.world.calm else 2.0))

    async def _live(self) -> None:
        self._lives += 1
        life = self.life = Life(self, self._lives)
        self.world.trace("gateway", life.number, "starts")
        starting = life.spawn(life.gateway.start(PUBLIC_URL))
        await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is not None:
            error = starting.exception()
            self.world.trace("gateway", life.number, "cannot start", error)
            if not isinstance(error, StoreError) and not self._faulty_disk():
                self.world.violate(f"the gateway does not start: {error!r}")
            life.kill()
        life.serving = not life.dead
        if life.serving:
            self.world.trace("gateway", life.number, "serves")
            self.world.history.serves(self.world.now_ms())
        while not life.dead:
            await asyncio.sleep(0.25)
            if self.disk.failed:
                self.disk.failed = False
                await asyncio.sleep(self.world.between(0.0, 1.0))
                self.crash()
