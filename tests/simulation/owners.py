"""Who looks after which server, as it is stored: somebody always does, and evenly."""

import asyncio
from collections import Counter

from inferry.server.config import Config
from tests.simulation.life import Life
from tests.simulation.site import Site
from tests.simulation.world import World

_STEP_S = 0.5
#: How long after a lease is over the servers of who had it are others', and one look of ours.
_TAKEN_S = 2.0 + _STEP_S
_OWNERS = "SELECT id, owner FROM servers"
#: Those that are called: workers are theirs whom they dialled.
_CALLED = "SELECT owner FROM servers WHERE transport = 1"


class Owners:
    """Looks at them.

    Args:
        world: The world.
        site: Where the gateways are.
        config: Their settings.
    """

    def __init__(self, world: World, site: Site, config: Config) -> None:
        self.world = world
        self.site = site
        self._longest_s = config.replica_lease_ms / 1_000 + _TAKEN_S
        #: Since when each gateway does its work without a break, by its epoch.
        self._working_s: dict[int, float] = {}
        #: Since when a server is somebody's who does not work, or nobody's.
        self._orphaned_s: dict[tuple[str, int | None], float] = {}

    async def run(self) -> None:
        """Looks again and again whether somebody looks after each server."""
        while True:
            await asyncio.sleep(_STEP_S)
            self._look()

    def _look(self) -> None:
        now_s = self.world.loop.time()
        working = self._working
        self._working_s = {one: self._working_s.get(one, now_s) for one in working}
        orphaned = [one for one in self.site.ground.rows(_OWNERS) if one[1] not in working]
        self._orphaned_s = {
            (server_id, owner): self._orphaned_s.get((server_id, owner), now_s)
            for server_id, owner in orphaned
        }
        able_s = min(self._working_s.values(), default=now_s)
        for (server_id, owner), since_s in self._orphaned_s.items():
            alone_s = now_s - max(since_s, able_s)
            if alone_s > self._longest_s:
                self.world.violate(
                    f"nobody looks after {server_id} for {alone_s:.1f} s, of replica {owner}"
                )

    @property
    def _working(self) -> dict[int, Life]:
        if not self.site.ground.usable:
            return {}
        lives = (life for life in self.site.lives if life.working)
        return {life.epoch: life for life in lives if not life.store.failed.is_set()}

    async def until_even(self) -> None:
        """Waits until the gateways share the servers evenly that are called."""
        # Nothing announces it: that is for the gateways, whose word is not taken here.
        while not self._even:  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)

    @property
    def _even(self) -> bool:
        shares = Counter(dict.fromkeys(self._working, 0))
        shares.update(owner for (owner,) in self.site.ground.rows(_CALLED))
        return shares.keys() == self._working.keys() and (
            max(shares.values()) - min(shares.values()) <= 1
        )
