"""One seed: builds its world, lets it run, lets it calm down, and checks what is left."""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from pydantic import SecretStr

from inferry.server.access.tokens import Role, issue_token
from inferry.server.config import Config
from tests.simulation import checker, stored
from tests.simulation.backends import Backend
from tests.simulation.clients import TYPES, Client
from tests.simulation.crew.afterwards import check_given, taken_back
from tests.simulation.crew.books import Books
from tests.simulation.crew.harm import Harm
from tests.simulation.crew.overseer import Overseer
from tests.simulation.crew.worker import Worker
from tests.simulation.faults import Faults, Metadata
from tests.simulation.ground import Ground
from tests.simulation.life import deterministic, quiet
from tests.simulation.lookout import Lookout
from tests.simulation.loop import SimulatedLoop, StuckError
from tests.simulation.network import Network
from tests.simulation.observer import Observer
from tests.simulation.onlookers import Onlooker
from tests.simulation.owners import Owners
from tests.simulation.receivers import Receivers, hooks
from tests.simulation.setup import LEASE_MS, Lay, Setup
from tests.simulation.site import Site
from tests.simulation.timeouts import Allowance
from tests.simulation.world import EPOCH_MS, ViolationError, World

SECRET = sha256(b"simulation").hexdigest()
#: When nobody creates tasks any more and nothing fails any more, at most.
_CHAOS_S = 10.0
#: What the rest may take at most: no timeout of a task is longer.
_CALM_S = 120.0
#: In so many worlds tenants have webhooks.
_HEARS_P = 0.4
#: What the end of a task may take that is cancelled.
_TIDY_S = 10.0
_TOKEN_S = 10 * 365 * 86_400
#: On this file system a file costs no disk.
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a seed."""

    seed: int
    #: Why it failed; empty when it did not.
    failure: str
    trace_hash: str
    #: How many tasks there were, and how long all of it took in virtual seconds.
    tasks: int
    virtual_s: float


class Simulator:
    """Runs seeds, one after the other, in a folder of its own.

    Args:
        folder: For files.
        setup: What worlds are made of.
        lay: Lays what gateways stand on.
    """

    def __init__(self, folder: Path, setup: Setup, lay: Lay) -> None:
        self._setup = setup
        self._lay = lay
        self._config = Config(
            data_dir=folder,
            jwt_secret=SecretStr(SECRET),
            grpc_port=0,
            grace_ms=500,
            cancel_grace_ms=3_000,
            lease_ms=3_000,
            replica_lease_ms=LEASE_MS,
            restart_grace_ms=1_500,
            probe_interval_ms=3_000,
            probe_timeout_ms=1_000,
            forget_after_ms=5_000,
            rest_longest_ms=6_000,
            shutdown_grace_ms=1_000,
            worker_heartbeat_ms=1_000,
            worker_acknowledge_ms=1_500,
            worker_stalled_ms=1_000,
            worker_chunk_bytes=1_024,
            webhook_timeout_ms=2_000,
        )

    def run(self, seed: int, *, show: bool = False) -> Verdict:
        """Runs one seed to its end."""
        loop = SimulatedLoop()
        world = World(seed, loop, show=show)
        ground = self._lay(world)
        scene = _Scene(world, ground, self._config, self._setup.replicas)
        failure = ""
        try:
            with deterministic(loop, world):
                loop.run_until_complete(scene.play())
        except ViolationError as violation:
            failure = str(violation)
        except StuckError as stuck:
            failure = f"stuck: {stuck}"
        finally:
            scene.end()
            loop.close()
            ground.remove()
        return Verdict(seed, failure, world.trace_hash, scene.tasks, loop.time())


class _Scene:
    """Who is there, and what they do, in order."""

    def __init__(self, world: World, ground: Ground, config: Config, replicas: int) -> None:
        self.world = world
        self.tasks = 0
        random = world.random("scene")
        small = random.random() < 0.15
        config = config.model_copy(
            update={
                "queue_limit": 4 if small else config.queue_limit,
                "tombstone_ms": random.choice((0, 3_000, config.tombstone_ms)),
                "queue_window": world.random("scene/window").choice((10_000, 10_000, 3, 1)),
                **_worker_settings(world.random("scene/worker settings")),
            }
        )
        self._config = config
        network = Network(world, apart=replicas > 1)
        self._receivers = network.receivers = Receivers(world, network, config.webhook_per_host)
        #: Whether tenants have webhooks.
        self._hears = world.random("scene/webhooks").random() < _HEARS_P
        for hook in hooks() if self._hears else ():
            ground.put_hook(hook)
        self._site = site = Site(world, network, ground, config, replicas)
        self._backends = []
        dialling = world.random("scene/workers")
        workers, only = dialling.choice(((0, False), (0, False), (1, False), (1, True), (2, True)))
        for number in range(random.choice((1, 2, 2, 3))):
            types = () if random.random() < 0.3 else tuple(random.sample(TYPES, 2))
            capabilities = (*types, "gpu") if types and random.random() < 0.5 else types
            name, slots = f"backend-{number}", random.choice((1, 2, 10))
            backend = Backend(world, site, name, capabilities, slots)
            if not only:
                site.network.backends[name] = backend
                self._backends.append(backend)
        admin = _bearer(Role.ADMIN, "operator")
        self._faults = Faults(world, site, self._backends, admin)
        self._workers: list[Worker] = []
        self._books = Books(world)
        overseer = Overseer(world, self._workers, self._books, config)
        self._observer = Observer(world, site, config, overseer)
        self._books.look = self._observer.left
        for number in range(workers):
            types = () if dialling.random() < 0.3 else tuple(dialling.sample(TYPES, 2))
            self._workers.append(
                Worker(
                    world,
                    site,
                    f"worker-{number}",
                    (*types, "gpu") if types and dialling.random() < 0.5 else types,
                    dialling.choice((1, 2, 10)),
                    metadata=_bearer(Role.BACKEND, "tenant-0"),
                    books=self._books,
                    config=config,
                )
            )
        self._harm = Harm(world, site, self._workers, admin)
        self._onlooker = Onlooker(world, site, admin)
        self._owners = Owners(world, site, config)
        self._lookout = Lookout(world, site, admin)
        self._clients = [
            Client(world, site, f"client-{number}", _bearer(Role.CLIENT, f"tenant-{number % 2}"))
            for number in range(random.choice((1, 2, 3, 4)))
        ]
        self._each = random.choice((1, 2, 4, 6))

    async def play(self) -> None:
        """Plays the scene.

        Raises:
            ViolationError: The gateway broke a promise.
        """
        world = self.world
        self._site.network.inspect = self._observer.dispatched
        world.spawn(self._site.run())
        world.spawn(self._observer.run())
        if self._site.shared:
            world.spawn(self._owners.run())
            world.spawn(self._lookout.run())
        # A server that dies last is away for 20 s, and then has to register again.
        await self._within(_CHAOS_S * 6, self._chaos(), "the chaos did not end")
        world.trace("calm")
        world.calm = True
        self._site.ground.out_of_order = False
        await self._within(_CALM_S, self._calm(), "stuck")
        await self._within(_CALM_S, self._observer.until_final(), "tasks that never end")
        await self._within(_CALM_S, self._observer.until_free(), "books that never close")
        if self._site.shared:
            await self._within(_CALM_S, self._owners.until_even(), "servers that nobody shares")
            await self._within(_CALM_S, self._lookout.until_seen(), "events that nobody is shown")
        await self._within(_CALM_S, self._observer.until_purged(), "tasks that are kept for ever")
        await self._within(_CALM_S, self._observer.until_told(), "messages that wait for ever")
        self._site.crash()
        tasks = stored.read(self._site.ground, self._config.tombstone_ms)
        self.tasks = len(tasks)
        config = self._config
        slack_ms = int(world.excused_s * 1_000)
        allowance = Allowance(config.grace_ms, slack_ms, config.restart_grace_ms)
        excused = taken_back(tasks, self._books)
        broken = checker.check(tasks, world.history, allowance, excused)
        broken += check_given(tasks, world.history, self._books, config.worker_acknowledge_ms)
        broken += self._receivers.check(tasks.values()) if self._hears else []
        broken += stored.leftovers(self._site.ground)
        if broken:
            raise ViolationError("; ".join(broken))

    async def _within(self, most_s: float, what: Coroutine[Any, Any, None], wrong: str) -> None:
        most_s += self.world.excused_s
        working = self.world.spawn(what)
        waiting = asyncio.ensure_future(self.world.until_done(working))
        try:
            async with asyncio.timeout(most_s):
                await waiting
        except TimeoutError:
            raise ViolationError(f"{wrong}: {self._observer.situation()}") from None

    async def _chaos(self) -> None:
        spawn = self.world.spawn
        self._sessions = [spawn(client.run(self._each, _CHAOS_S * 0.8)) for client in self._clients]
        for backend in self._backends:
            spawn(self._faults.register(backend))
        for worker in self._workers:
            worker.start()
        harm = spawn(self._faults.run(_CHAOS_S))
        hurt = spawn(self._harm.run(_CHAOS_S))
        looks = spawn(self._onlooker.run(_CHAOS_S * 0.8))
        await asyncio.sleep(_CHAOS_S)
        await asyncio.gather(harm, hurt, looks)

    async def _calm(self) -> None:
        for backend in self._backends:
            backend.revive()
            await self._faults.restore(backend)
        await self._harm.restore()
        for paused in TYPES:
            await self._onlooker.resume(paused)
        await asyncio.gather(*self._sessions)

    def end(self) -> None:
        """Ends whatever still runs."""
        loop = self.world.loop
        self._site.crash()
        loop.at_step.clear()
        while pending := [*self.world.tasks, *self._site.tasks]:
            # Who tidies up when it is cancelled may wait once more, for what will never come.
            for task in pending:
                task.cancel()
            loop.run_until_complete(asyncio.wait(pending, timeout=_TIDY_S))


def _worker_settings(random: Random) -> dict[str, int]:
    """Draws how little fits into a message, or how soon a stream is opened anew."""
    return {
        "worker_message_items": random.choice((1, 2, 64)),
        "worker_unsent_bytes": random.choice((1_024, 1_024 * 1_024)),
        "worker_reports": random.choice((1, 3, 256)),
        "worker_reconnect_ms": random.choice((3_000, 3_600_000, 3_600_000)),
    }


def _bearer(role: Role, tenant: str) -> Metadata:
    token = issue_token(SECRET.encode(), tenant, role, tenant, _TOKEN_S, EPOCH_MS - 86_400_000)
    return (("authorization", f"Bearer {token}"),)


@contextmanager
def simulator(setup: Setup) -> Iterator[Simulator]:
    """Makes a simulator in a folder that goes away with it."""
    place = _MEMORY if _MEMORY.is_dir() else None
    folder = tempfile.TemporaryDirectory(prefix="inferry-simulation-", dir=place)
    with folder as name, quiet(), setup.grounds(Path(name)) as lay:
        yield Simulator(Path(name), setup, lay)
