"""The machine that gateways run on: starts them, kills them, starts the next on the same disk."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.server.config import Config
from inferry.server.errors import UnavailableError
from inferry.server.store import StoreError
from tests.simulation.disk import Disk
from tests.simulation.life import Life
from tests.simulation.loop import SimulatedTask
from tests.simulation.network import Network
from tests.simulation.world import World

#: No call may end so.
_BUGS = (StatusCode.INTERNAL, StatusCode.UNKNOWN)


class BrokenError(Exception):
    """A call of the gateway brought no answer: nobody knows what came of it."""


class DownError(BrokenError):
    """There was no gateway to call: nothing came of it."""


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
        life = self.life = Life(
            self.world, self.network, self.disk, self.config, self._lives, self.tasks
        )
        self.world.trace("gateway", life.number, "starts")
        self.world.history.starts_s.append(self.world.loop.time())
        starting = life.spawn(life.gateway.start())
        await asyncio.wait({starting})
        if life.dead:
            return
        if starting.exception() is not None:
            self._explain(starting.exception())
            self.crash()
            return
        life.serving = True
        self.world.excused_s += self.world.loop.time() - self._down_since_s
        self.world.excused_s += self.config.restart_grace_ms / 1_000
        self.world.trace("gateway", life.number, "serves")
        await life.ended.wait()

    def _explain(self, error: BaseException | None) -> None:
        self.world.trace("gateway cannot start:", error)
        storage = isinstance(error, (StoreError, UnavailableError))
        # What broke before it was calm may be broken for a moment more.
        if (self.world.calm and self.disk.usable) or not storage:
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
        self,
        ask: Callable[[Life], Awaitable[Any]],
        patience_s: float | None = None,
        *,
        stream: bool = False,
    ) -> Any:
        """Calls the gateway over the network.

        Args:
            ask: Makes the call.
            patience_s: When the caller hangs up; None for never.
            stream: Whether it goes on for as long as its caller lives: it ends with it.

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
        try:
            await asyncio.wait({answering}, timeout=patience_s)
        except asyncio.CancelledError:
            if stream:
                answering.cancel()
            raise
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
