"""What happens to workers from outside, at times drawn from the seed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    DrainServerRequest,
    ListServersRequest,
    ResumeServerRequest,
)
from tests.simulation.crew.wire import Metadata
from tests.simulation.crew.worker import Worker
from tests.simulation.site import BrokenError, Site
from tests.simulation.world import World


class Harm:
    """Does it.

    Args:
        world: The world.
        site: The gateway's.
        workers: All of them.
        admin: An operator's token.
    """

    def __init__(
        self, world: World, site: Site, workers: Sequence[Worker], admin: Metadata
    ) -> None:
        self.world = world
        self.site = site
        self.workers = workers
        self._admin = admin
        self._random = world.random("harm")

    async def run(self, within_s: float) -> None:
        """Does all the harm there is in this world's weather."""
        weather, random = self.world.weather, self._random
        harm = []
        for worker in self.workers:
            plan: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
                (worker.die, weather.worker_death_n),
                (worker.freeze, weather.freeze_n),
                (worker.stall, weather.stall_n),
                (worker.leave, weather.leave_n),
                (worker.twin, weather.twin_n),
                (partial(self._operate, worker), weather.operator_n),
            )
            harm += [
                self._later(random.uniform(0, within_s), worker, act)
                for act, count in plan
                for _ in range(count)
            ]
        await asyncio.gather(*harm)

    async def restore(self) -> None:
        """Puts all workers back into service, whatever was done to them."""
        for worker in self.workers:
            worker.revive()
            while True:
                if await self._resumed(worker):
                    break
                await asyncio.sleep(0.5)

    async def _later(
        self, delay_s: float, worker: Worker, act: Callable[[], Awaitable[None]]
    ) -> None:
        await asyncio.sleep(delay_s)
        self.world.trace(worker.name, getattr(act, "__name__", "operate"))
        await act()

    async def _operate(self, worker: Worker) -> None:
        for id_ in await self._ids(worker):
            if self._random.random() < 0.5:
                await self._try("DrainServer", DrainServerRequest(id=id_))
            else:
                grace_ms = self._random.choice((0, 1_000, 30_000))
                request = DeregisterServerRequest(id=id_, grace_ms=grace_ms)
                await self._try("DeregisterServer", request)
        await asyncio.sleep(self._random.uniform(0, 4))
        await self._resumed(worker)

    async def _resumed(self, worker: Worker) -> bool:
        ids = await self._ids(worker)
        for id_ in ids:
            if not await self._try("ResumeServer", ResumeServerRequest(id=id_)):
                return False
        return bool(ids)

    async def _ids(self, worker: Worker) -> list[str]:
        reply = await self._try("ListServers", ListServersRequest())
        return [one.id for one in reply.servers if one.name == worker.name] if reply else []

    async def _try(self, method: str, request: Any) -> Any:
        """Calls the gateway; None if it did not do it."""
        try:
            return await self.site.call(
                lambda life: getattr(life.server_stub, method)(request, metadata=self._admin)
            )
        except BrokenError:
            return None
        except AioRpcError as error:
            if error.code() not in (StatusCode.UNAVAILABLE, StatusCode.NOT_FOUND):
                self.world.violate(f"{method} ended with {error.code().name}: {error.details()}")
            return None
