"""The machine that gateways run on: starts them, kills them, starts the next on the same disk."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from random import Random
from typing import Any, Never
from unittest.mock import patch

import grpc
import structlog
from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.server import app, ids
from inferry.server.app import Gateway
from inferry.server.config import Config
from inferry.server.errors import UnavailableError
from inferry.server.store import StoreError
from inferry.v1.queue_service_pb2_grpc import QueueServiceStub
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.simulation.disk import Disk, SimulatedStore
from tests.simulation.loop import SimulatedLoop, SimulatedTask
from tests.simulation.network import Network, SimulatedOutbound
from tests.simulation.world import World

SECRET = "a-secret-of-the-simulation-that-is-long"
PUBLIC_URL = "http://gateway"

#: No call may end so.
_BUGS = (StatusCode.INTERNAL, StatusCode.UNKNOWN)

#: What a gateway may log as an error while its disk fails.
_EXPECTED = ("commit failed", "call failed", "the store is still out of order")

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
        self.world = world
        self._all = host.tasks
        #: Every task that runs in it.
        self.tasks: dict[SimulatedTask, None] = {}
        #: It takes calls.
        self.serving = False
        self.dead = False
        self.ended = asyncio.Event()
        self._random = world.random(f"life/{number}")
        self.store = SimulatedStore(host.disk)
        self._context = world.context
        self._context.run(_life.set, self)
        with _edges(self, host, self._random):
            self.gateway = Gateway(host.config, world)
        self.task_stub: Any = TaskServiceStub(self.gateway.channel)
        self.server_stub: Any = ServerServiceStub(self.gateway.channel)
        self.queue_stub: Any = QueueServiceStub(self.gateway.channel)

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something in this process."""
        return asyncio.get_running_loop().create_task(coro, context=self._context.copy())

    def adopt(self, task: SimulatedTask) -> None:
        """Takes a task for one of this process."""
        task.process = self
        self.tasks[task] = None
        self._all[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: SimulatedTask) -> None:
        self.tasks.pop(task, None)
        self._all.pop(task, None)

    def kill(self) -> None:
        """Ends it at once: whatever its tasks do from here on reaches neither disk nor network."""
        self.serving, self.dead = False, True
        self.ended.set()
        self.store.kill()
        for task in list(self.tasks):
            task.cancel()


@contextmanager
def _edges(life: Life, host: "Host", random: Random) -> Iterator[None]:
    """Replaces what a gateway makes of disk, network, sockets and chance while it is built."""
    edges = patch.multiple(
        app,
        SqliteStore=lambda _path: life.store,
        Outbound=lambda *_limits: SimulatedOutbound(host.network, life),
        Random=lambda: Random(random.random()),
    )
    with edges, patch.object(grpc.aio, "server", lambda **_options: _NoServer()):
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
            life.adopt(task)
            if life.dead:
                task.cancel()
        return task

    def wrong(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task = context.get("future") or context.get("task")
        life = getattr(task, "process", None)
        if life is not None and not life.dead:
            world.violate(f"{context['message']}: {context.get('exception')!r} in {task}")

    loop.set_task_factory(make)
    loop.set_exception_handler(wrong)
    with patch.object(ids, "ULID", world.new_ulid):
        yield


def hear(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Never:
    """Takes what a gateway logs as an error: there is one kind of it that is no bug.

    Raises:
        DropEvent: Always.
    """
    life, error = _life.get(), sys.exc_info()[1]
    expected = isinstance(error, StoreError | UnavailableError) or event["event"] in _EXPECTED
    if life is not None and not life.dead and not expected:
        life.world.violate(f"the gateway logged an error: {event['event']}: {error!r}")
    raise structlog.DropEvent


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps logs off the screen, and gives errors to the world that they are of."""
    before = structlog.get_config()
    errors_only = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(processors=[hear], wrapper_class=errors_only)
    try:
        yield
    finally:
        structlog.configure(**before)


class Host:
    """Keeps a gateway running, one after the other, and takes the calls to it."""

    def __init__(self, world: World, network: Network, disk: Disk, config: Config) -> None:
        self.world = world
        self.network = network
        self.disk = disk
        self.config = config
        self.life: Life | None = None
        self._lives = 0
        #: Whatever runs in any life.
        self.tasks: dict[SimulatedTask, None] = {}
        #: Since when nobody serves, when nobody does; seconds.
        self._down_since_s = 0.0

    async def run(self) -> None:
        """Starts a gateway whenever there is none."""
        while True:
            await self._live()
            await asyncio.sleep(self.world.between(0.0, 0.1 if self.world.calm else 2.0))

    async def _live(self) -> None:
        self._lives += 1
        life = self.life = Life(self, self._lives)
        self.world.trace("gateway", life.number, "starts")
        starting = life.spawn(life.gateway.start(PUBLIC_URL))
        await asyncio.wait({starting})
        if life.dead:
            return
        if starting.exception() is not None:
            self._explain(starting.exception())
            self.crash()
            return
        life.serving = True
        self.world.excused_s += self.world.loop.time() - self._down_since_s
        self.world.trace("gateway", life.number, "serves")
        await life.ended.wait()

    def _explain(self, error: BaseException | None) -> None:
        self.world.trace("gateway cannot start:", error)
        storage = isinstance(error, (StoreError, UnavailableError))
        if self.world.calm or not storage:
            self.world.violate(f"the gateway does not start: {error!r}")

    def crash(self) -> None:
        """Kills the gateway, if there is one."""
        if self.life is not None and not self.life.dead:
            self.world.trace("gateway", self.life.number, "dies")
            if self.life.serving:
                self._down_since_s = self.world.loop.time()
            self.life.kill()

    async def stop(self) -> None:
        """Stops the gateway in good order, if there is one."""
        life = self.life
        if life is None or not life.serving:
            return
        self.world.trace("gateway", life.number, "stops")
        life.serving, self._down_since_s = False, self.world.loop.time()
        await asyncio.wait({life.spawn(life.gateway.stop())})
        self.crash()

    async def call(
        self, ask: Callable[[Life], Awaitable[Any]], patience_s: float | None = None
    ) -> Any:
        """Calls the gateway over the network.

        Args:
            ask: Makes the call.
            patience_s: When the caller hangs up; None for never.

        Raises:
            DownError: There is no gateway.
            BrokenError: No answer came.
            AioRpcError: The gateway refused the call.
        """
        world = self.world
        await world.travel()
        life = self.life
        if life is None or not life.serving:
            raise DownError
        cut = world.happens(world.weather.client_cut_p)
        if cut and world.happens(0.3):
            raise BrokenError
        answering = life.spawn(_asked(ask, life))
        answering.add_done_callback(_note)
        await asyncio.wait({answering}, timeout=patience_s)
        if not answering.done():
            answering.cancel()
            raise BrokenError
        if answering.cancelled():
            raise BrokenError
        error = answering.exception()
        await world.travel()
        if cut:
            raise BrokenError
        if isinstance(error, AioRpcError) and error.code() in _BUGS and not life.dead:
            world.violate(f"a call ended with {error.code().name}: {error.details()}")
        return answering.result()


async def _asked(ask: Callable[[Life], Awaitable[Any]], life: Life) -> Any:
    return await ask(life)


def _note(call: asyncio.Task[Any]) -> None:
    """Takes note of a call's error, whether or not the caller is still there for it."""
    if not call.cancelled():
        call.exception()
