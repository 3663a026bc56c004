"""The machines that gateways of one world run on, and the way to whichever of them is there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.server.config import Config
from tests.simulation.ground import Ground
from tests.simulation.host import Host
from tests.simulation.life import Life
from tests.simulation.loop import SimulatedTask
from tests.simulation.network import Network
from tests.simulation.world import World

#: No call may end so.
_BUGS = (StatusCode.INTERNAL, StatusCode.UNKNOWN)


class BrokenError(Exception):
    """A call of a gateway brought no answer: nobody knows what came of it."""


class DownError(BrokenError):
    """There was no gateway to call: nothing came of it."""


class Site:
    """All machines of a world.

    Args:
        world: The world.
        network: What gateways reach backends by.
        ground: What they stand on.
        config: Their settings.
        machines: How many there are.
    """

    def __init__(
        self, world: World, network: Network, ground: Ground, config: Config, machines: int
    ) -> None:
        self.world = world
        self.network = network
        self.ground = ground
        #: Whatever runs in any life.
        self.tasks: dict[SimulatedTask, None] = {}
        self.hosts = [
            Host(world, network, ground, config, number, self.tasks, alone=machines == 1)
            for number in range(1, machines + 1)
        ]
        self._random = world.random("site")

    @property
    def shared(self) -> bool:
        """Whether gateways stand on what others may share."""
        return self.ground.lease_s > 0

    @property
    def several(self) -> bool:
        """Whether there is more than one gateway."""
        return len(self.hosts) > 1

    @property
    def lives(self) -> Sequence[Life]:
        """The gateways that take calls, or would if they were not frozen."""
        lives = (host.life for host in self.hosts)
        return [life for life in lives if life is not None and life.serving]

    @property
    def life(self) -> Life | None:
        """One that does its work; None if none does."""
        return next((life for life in self.lives if life.working), None)

    def pick(self) -> Host:
        """Picks a machine, as somebody does who knows nothing of them."""
        return self._random.choice(self.hosts) if self.several else self.hosts[0]

    async def run(self) -> None:
        """Keeps a gateway running on each machine."""
        await asyncio.gather(*(host.run() for host in self.hosts))

    def crash(self) -> None:
        """Kills all gateways."""
        for host in self.hosts:
            host.crash()

    async def call(
        self,
        ask: Callable[[Life], Awaitable[Any]],
        patience_s: float | None = None,
        *,
        stream: bool = False,
    ) -> Any:
        """Calls a gateway over the network.

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
        life = self.pick().life
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
