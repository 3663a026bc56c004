"""What happens to machines and servers from outside, at times drawn from the seed."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    DrainServerRequest,
    RegisterServerRequest,
    ResumeServerRequest,
)
from tests.simulation.backends import Backend
from tests.simulation.site import BrokenError, Site
from tests.simulation.world import World

Metadata = tuple[tuple[str, str], ...]


class Faults:
    """Kills, stops, fills, jumps; and the operator, who registers and drains."""

    def __init__(self, world: World, site: Site, backends: list[Backend], admin: Metadata) -> None:
        self.world = world
        self.site = site
        self.backends = backends
        self._admin = admin
        self._random = world.random("faults")
        self._ids: dict[str, str] = {}

    async def run(self, within_s: float) -> None:
        """Does all the harm there is in this world's weather."""
        weather, random = self.world.weather, self._random
        plan = [
            *((self._crash, weather.crash_n), (self._stop, weather.stop_n)),
            # Clocks of machines that share tasks agree.
            *(
                (self._jump, 0 if self.site.several else weather.jump_n),
                (self._fill, weather.full_n),
            ),
            (self._operate, weather.operator_n if self.backends else 0),
            (self._freeze, weather.halt_n if self.site.several else 0),
        ]
        harm = [self._later(random.uniform(0, within_s), act) for act, n in plan for _ in range(n)]
        for backend in self.backends:
            harm += [
                self._later(random.uniform(0, within_s), partial(self._kill, backend))
                for _ in range(weather.death_n)
            ]
        await asyncio.gather(*harm)

    async def _later(self, delay_s: float, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(delay_s)
        await act()

    async def _crash(self) -> None:
        """Kills the gateway between any two steps of any of its tasks."""
        loop = self.world.loop
        loop.at_step[loop.steps + self._random.choice((0, 3, 10, 40, 200))] = self.site.pick().crash

    async def _stop(self) -> None:
        await self.site.pick().stop()

    async def _freeze(self) -> None:
        """Freezes a gateway, often for longer than others wait for it."""
        lease_s = self.site.ground.lease_s
        for_s = lease_s * self._random.choice((0.3, 1.2, 2.0))
        await self.site.pick().freeze(for_s, at_commit=self._random.random() < 0.7)

    async def _jump(self) -> None:
        most = int(self.world.weather.jump_s * 1_000)
        by = self._random.randint(-most, most)
        self.world.trace("the clock jumps by", by)
        self.world.offset_ms += by

    async def _fill(self) -> None:
        full_s = self._random.uniform(0, 2)
        self.world.excused_s += full_s
        self.site.ground.out_of_order = True
        await asyncio.sleep(full_s)
        self.site.ground.out_of_order = False

    async def _kill(self, backend: Backend) -> None:
        self.world.trace(backend.name, "dies")
        backend.die()
        await asyncio.sleep(self._random.choice((1, 8, 20)) * self._random.uniform(0.5, 1))
        await self.revive(backend)

    async def revive(self, backend: Backend) -> None:
        """Starts a backend again, which registers as backends do."""
        backend.revive()
        await self.register(backend)

    async def register(self, backend: Backend) -> None:
        """Registers a backend, however often that takes."""
        request = RegisterServerRequest(
            url=backend.url,
            name=backend.name,
            capabilities=backend.capabilities,
            max_concurrent=backend.slots,
        )
        while True:
            began_s, patience_s = self.world.loop.time(), None
            if self.world.happens(self.world.weather.hang_up_p):
                patience_s = self._random.choice((0.0, 0.001, 0.05))
            try:
                reply = await self.site.call(
                    lambda life: life.server_stub.RegisterServer(request, metadata=self._admin),
                    patience_s,
                )
            except BrokenError:
                await asyncio.sleep(self._random.choice((0.5, 2.0)))
            except AioRpcError as error:
                self._expect(error, StatusCode.UNAVAILABLE)
                await asyncio.sleep(0.5)
            else:
                self._ids[backend.name] = reply.id
                backend.welcomed_s = began_s
                return

    async def _operate(self) -> None:
        backend = self._random.choice(self.backends)
        id_ = self._ids.get(backend.name, "srv_none")
        drains = self._random.random() < 0.4
        self.world.trace("operator", "drains" if drains else "deregisters", backend.name)
        await self._try("DrainServer" if drains else "DeregisterServer", id_)
        await asyncio.sleep(self._random.uniform(0, 4))
        await self.restore(backend)

    async def restore(self, backend: Backend) -> None:
        """Puts a backend back into service, whatever was done to it."""
        await self.register(backend)
        began_s = self.world.loop.time()
        while not await self._try("ResumeServer", self._ids[backend.name]):
            await asyncio.sleep(0.5)
            await self.register(backend)
            began_s = self.world.loop.time()
        backend.welcomed_s = began_s

    async def _try(self, method: str, server_id: str) -> bool:
        grace_ms = self._random.choice((0, 0, 1_000, 30_000))
        requests = {
            "DrainServer": DrainServerRequest(id=server_id),
            "ResumeServer": ResumeServerRequest(id=server_id),
            "DeregisterServer": DeregisterServerRequest(id=server_id, grace_ms=grace_ms),
        }
        try:
            await self.site.call(
                lambda life: getattr(life.server_stub, method)(
                    requests[method], metadata=self._admin
                )
            )
        except BrokenError:
            return False
        except AioRpcError as error:
            self._expect(error, StatusCode.UNAVAILABLE, StatusCode.NOT_FOUND)
            return False
        return True

    def _expect(self, error: AioRpcError, *codes: StatusCode) -> None:
        if error.code() not in codes:
            self.world.violate(f"a call ended with {error.code().name}: {error.details()}")
