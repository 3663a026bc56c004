"""A machine that gateways run on: starts them, kills them, freezes them, starts the next."""

import asyncio

from inferry.server.config import Config
from inferry.server.errors import UnavailableError
from inferry.server.loop import wait_for
from inferry.server.store import StoreError
from tests.simulation.ground import Ground
from tests.simulation.life import Life
from tests.simulation.loop import SimulatedTask
from tests.simulation.network import Network
from tests.simulation.world import World

#: How long a commit is waited for.
_COMMIT_S = 2.0


class Host:
    """Keeps a gateway running, one after the other.

    Args:
        world: The world.
        network: What gateways reach backends by.
        ground: What they stand on.
        config: Their settings.
        number: Which machine it is, from 1.
        tasks: Takes whatever runs in any life.
        alone: Whether there is no other.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        ground: Ground,
        config: Config,
        number: int,
        tasks: dict[SimulatedTask, None],
        *,
        alone: bool,
    ) -> None:
        self.world = world
        self.network = network
        self.ground = ground
        self.config = config
        self.life: Life | None = None
        self.number = number
        self._lives = 0
        self._tasks = tasks
        self._alone = alone
        #: Since when nobody serves, when nobody does; seconds.
        self._down_since_s = 0.0

    async def run(self) -> None:
        """Starts a gateway whenever there is none."""
        while True:
            await self._live()
            await asyncio.sleep(self.world.between(0.0, 0.1 if self.world.calm else 2.0))

    async def _live(self) -> None:
        self._lives += 1
        # Of the first machine they are numbered 1, 2, 3, of the second 101, 102, 103.
        number = 100 * (self.number - 1) + self._lives
        life = self.life = Life(
            self.world, self.network, self.ground, self.config, number, self._tasks
        )
        self.world.trace("gateway", life.number, "starts")
        history, now_s = self.world.history, self.world.loop.time()
        history.starts_s.append(now_s)
        if self._alone:
            history.lone_starts_s.append(now_s)
        starting = life.spawn(life.start())
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
        if (self.world.calm and self.ground.usable) or not storage:
            self.world.violate(f"the gateway does not start: {error!r}")

    def crash(self) -> None:
        """Kills the gateway, if there is one."""
        if self.life is not None and not self.life.dead:
            self.world.trace("gateway", self.life.number, "dies")
            if self.life.serving:
                self._down_since_s = self.world.loop.time()
            self.world.excused_s += self.ground.lease_s
            self.life.kill()

    async def stop(self) -> None:
        """Stops the gateway in good order, if there is one."""
        life = self.life
        if life is None or not life.serving:
            return
        self.world.trace("gateway", life.number, "stops")
        life.serving, self._down_since_s = False, self.world.loop.time()
        await asyncio.wait({life.spawn(life.stop())})
        self.crash()

    async def freeze(self, for_s: float, *, at_commit: bool) -> None:
        """Stops the gateway by a signal, if there is one, and lets it go on later.

        Args:
            for_s: How long it stands still.
            at_commit: Whether it is to be stopped before it learns of its next commit.
        """
        life = self.life
        if at_commit and life is not None and life.working:
            await wait_for(self.ground.written(life.epoch), _COMMIT_S)
        if life is None or not life.working:
            return
        self.world.trace("gateway", life.number, "is frozen")
        self.world.excused_s += for_s + self.ground.lease_s
        life.freeze()
        await asyncio.sleep(for_s)
        if not life.dead:
            self.world.trace("gateway", life.number, "goes on")
            life.thaw()
