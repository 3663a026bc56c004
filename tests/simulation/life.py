"""One gateway process: the real gateway, with its edges replaced."""

import asyncio
import logging
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import partial
from random import Random
from typing import Any, Never
from unittest.mock import patch

import grpc
import structlog

from inferry.server.app import gateway as gateways
from inferry.server.app import lives, loops, rules, use_cases, webhooks, workers
from inferry.server.app.gateway import Gateway
from inferry.server.app.lives import Lives
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.server.errors import UnavailableError
from inferry.server.replica.tenure import Tenure
from inferry.server.store import StoreError
from inferry.server.task import ids
from inferry.server.webhooks import schedule
from inferry.v1.queue_service_pb2_grpc import QueueServiceStub
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub
from tests.simulation.ground import Ground, MortalStore
from tests.simulation.loop import SimulatedLoop, SimulatedTask
from tests.simulation.network import Network, SimulatedOutbound
from tests.simulation.receivers import PAUSES_MS, STALE_MS, SimulatedCourier
from tests.simulation.world import World

#: What a gateway may log as an error while its disk fails.
_EXPECTED = ("commit failed", "call failed", "the store is still out of order")

PUBLIC_URL = "http://gateway"

#: The process that the running code is part of.
_life: ContextVar["Life | None"] = ContextVar("life", default=None)


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
    """One gateway process, from its start to its end.

    Args:
        world: Where it lives.
        network: What it reaches backends by.
        ground: What it finds and leaves.
        config: Its settings.
        number: Which it is on its machine, from 1.
        running: Whatever runs in any life.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        ground: Ground,
        config: Config,
        number: int,
        running: dict[SimulatedTask, None],
    ) -> None:
        self.number = number
        self.world = world
        self._running = running
        #: Every task that runs in it.
        self.tasks: dict[SimulatedTask, None] = {}
        #: It takes calls.
        self.serving = False
        self.dead = False
        self.ended = asyncio.Event()
        #: Stopped by a signal: nothing runs in it.
        self.frozen = False
        #: That of the gateway that runs in it now.
        self.store: MortalStore
        self.clock = SteadyClock(self._notice, world, world.monotonic_ns)
        self._ground = ground
        self._edges = partial(_edges, self, network, world.random(f"life/{number}"))
        self._context = world.context
        self._context.run(_life.set, self)
        self._lives = self._context.run(Lives, config, PUBLIC_URL, self.clock)
        channel = self._lives.channel
        self.task_stub: Any = TaskServiceStub(channel)
        self.server_stub: Any = ServerServiceStub(channel)
        self.queue_stub: Any = QueueServiceStub(channel)
        self.worker_stub: Any = WorkerServiceStub(channel)

    @property
    def gateway(self) -> Gateway:
        """The gateway that runs in it now."""
        return self._lives.gateway

    @property
    def epoch(self) -> int:
        """That of the gateway that runs in it now."""
        return self.store.epoch.number

    @property
    def working(self) -> bool:
        """Whether its gateway has started and has not lost its place."""
        gateway = self.gateway
        return self.serving and not self.frozen and gateway._started and not gateway.lost.is_set()

    def build(self, *given: Any) -> Gateway:
        """Makes a gateway to run in it."""
        self.store = self._ground.new_store()
        with self._edges():
            return Gateway(*given)

    async def start(self) -> None:
        """Starts a gateway; see ``Lives.start``."""
        await self._lives.start()

    async def stop(self) -> None:
        """Stops it in good order; see ``Lives.stop``."""
        await self._lives.stop()

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something in this process."""
        return asyncio.get_running_loop().create_task(coro, context=self._context.copy())

    def adopt(self, task: SimulatedTask) -> None:
        """Takes a task for one of this process."""
        task.process = self
        self.tasks[task] = None
        self._running[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: SimulatedTask) -> None:
        self.tasks.pop(task, None)
        self._running.pop(task, None)

    def _notice(self, by_ms: int, ahead_ms: int) -> None:
        self.world.trace("gateway", self.number, "saw the clock set by", by_ms, "to", ahead_ms)

    def kill(self) -> None:
        """Ends it at once: whatever its tasks do from here on reaches neither disk nor network."""
        self.serving, self.dead = False, True
        self.ended.set()
        self.store.kill()
        for task in list(self.tasks):
            task.cancel()
        self.thaw()

    def freeze(self) -> None:
        """Lets nothing run in it."""
        self.frozen = True
        self.world.loop.hold(_is_frozen)

    def thaw(self) -> None:
        """Lets everything go on."""
        if self.frozen:
            self.frozen = False
            self.world.loop.release()


@contextmanager
def _edges(life: Life, network: Network, random: Random) -> Iterator[None]:
    """Replaces what a gateway makes of disk, network, sockets and chance while it is built."""

    def chance() -> Random:
        return Random(random.random())

    edges = patch.multiple(
        gateways,
        new_store=lambda _config: life.store,
        Outbound=lambda *_limits: SimulatedOutbound(network, life),
    )
    with (
        edges,
        patch.multiple(loops, Random=chance, PURGE_INTERVAL_MS=life.world.weather.purge_ms),
        patch.object(use_cases, "Random", chance),
        patch.object(workers, "Random", chance),
        patch.multiple(
            webhooks,
            Courier=lambda _networks: SimulatedCourier(network.receivers, life),
            Random=chance,
        ),
        patch.object(grpc.aio, "server", lambda **_options: _NoServer()),
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
    with (
        patch.object(ids, "new_ulid", world.new_ulid),
        patch.multiple(schedule, PAUSES_MS=PAUSES_MS, STALE_MS=STALE_MS),
        patch.object(lives, "Gateway", lambda *given: _here().build(*given)),
        patch.object(rules, "Tenure", partial(Tenure, monotonic_s=loop.time)),
    ):
        yield


def _is_frozen(context: Context) -> bool:
    life = context.get(_life)
    return life is not None and life.frozen


def _here() -> Life:
    life = _life.get()
    assert life is not None
    return life


def _hear(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Never:
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
    structlog.configure(processors=[_hear], wrapper_class=errors_only)
    try:
        yield
    finally:
        structlog.configure(**before)
