"""Receivers of webhooks that take, refuse, hang, redirect or break, and what they are promised."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from inferry.client.webhooks import NotVerified, verify
from inferry.server.outbound.courier import Receipt
from inferry.server.outbound.errors import AnswerError, AnswerTimeoutError, ConnectError
from inferry.server.task.hook import Hook, HookEvent, HookSecret
from inferry.server.task.record import EventKind
from tests.simulation.network import Network, Process
from tests.simulation.stored import Stored
from tests.simulation.world import EPOCH_MS, World

#: Before each try of a message but the first: all of them take longer than any trouble lasts.
PAUSES_MS = (500, 1_000, 2_000, 5_000, *(10_000,) * 8)
#: Older progress is told to nobody.
STALE_MS = 3_000
_SECRET = "whsec_" + "c2ltdWxh" * 4
_TENANTS = ("tenant-0", "tenant-1")


class Mood(StrEnum):
    """What a receiver does with a message while not all is calm."""

    TAKES = "takes"
    FAILS = "fails"
    HANGS = "hangs"
    REDIRECTS = "redirects"
    #: It takes the message, and the answer is lost.
    BREAKS = "breaks"
    IS_AWAY = "is away"


_ANSWERS = {Mood.TAKES: 204, Mood.FAILS: 500, Mood.REDIRECTS: 307}


def hooks() -> list[Hook]:
    """Lists the webhooks that a world begins with: one a tenant, each with a host of its own."""
    everything = HookEvent.STARTED | HookEvent.PROGRESS | HookEvent.COMPLETED
    return [
        Hook(
            f"whk_{tenant}",
            tenant,
            f"http://{tenant}/hook",
            f"{tenant}:80",
            everything,
            EPOCH_MS,
            EPOCH_MS,
            secrets=(HookSecret(_SECRET, 0),),
        )
        for tenant in _TENANTS
    ]


class Receivers:
    """All of a world.

    Args:
        world: The world.
        network: What brings messages to them.
        at_once: As many messages as a gateway may have on their way to a host.
    """

    def __init__(self, world: World, network: Network, at_once: int) -> None:
        self._world = world
        self._network = network
        self._at_once = at_once
        self._random = world.random("receivers")
        #: Drawn once: some receivers are bad more often than others.
        self._moods = {
            tenant: self._random.choices(list(Mood), k=self._random.choice((1, 2, 4)))
            for tenant in _TENANTS
        }
        self._taken: set[str] = set()
        self._bodies: dict[str, bytes] = {}
        #: The latest event that was sent, by task.
        self._last: dict[str, int] = defaultdict(int)
        #: What gateways have on its way, by host and by task.
        self._under_way: Counter[tuple[Process, str]] = Counter()

    async def post(
        self, process: Process, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Receipt:
        """Takes a message from a gateway, or does with it what its receiver does."""
        host, name = urlsplit(url).netloc, headers["webhook-id"]
        task_id, _, seq = name.rpartition("_")
        self._check(name, body, headers)
        if int(seq) < self._last[task_id]:
            self._world.violate(f"{name} was sent after {self._last[task_id]}")
        self._last[task_id] = int(seq)
        of_host, of_task = kept = (process, host), (process, task_id)
        self._under_way.update(kept)
        if self._under_way[of_host] > self._at_once or self._under_way[of_task] > 1:
            self._world.violate(f"{name}: too many are on their way at once")
        try:
            return await self._network.carry(self._receive(host, name, body, timeout_s))
        finally:
            self._under_way.subtract(kept)

    async def _receive(self, host: str, name: str, body: bytes, timeout_s: float) -> Receipt:
        world = self._world
        mood = Mood.TAKES if world.calm else self._random.choice([*self._moods[host], Mood.TAKES])
        world.trace("webhook", name, mood)
        await world.travel()
        match mood:
            case Mood.IS_AWAY:
                raise ConnectError("no connection: Connection refused")
            case Mood.HANGS:
                await asyncio.sleep(timeout_s)
                raise AnswerTimeoutError("no whole answer")
            case Mood.TAKES | Mood.BREAKS:
                self._taken.add(name)
        await world.travel()
        if mood is Mood.BREAKS:
            raise AnswerError("the connection broke before the whole answer was there")
        return Receipt(_ANSWERS[mood], b"", None)

    def _check(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
        if self._bodies.setdefault(name, body) != body:
            self._world.violate(f"{name} says another thing than before")
        try:
            verify(body, headers, _SECRET, now_s=self._world.now_ms() / 1_000)
        except NotVerified as error:
            self._world.violate(f"{name}: {error}")

    def check(self, tasks: Iterable[Stored]) -> list[str]:
        """Tells of ends that nobody took."""
        return [
            f"{task.record.spec.id}_{event.seq} ended, and nobody was told"
            for task in tasks
            for event in task.events
            if event.kind is EventKind.FINISHED
            and f"{task.record.spec.id}_{event.seq}" not in self._taken
        ]


class SimulatedCourier:
    """What a gateway has instead of ``Courier``."""

    def __init__(self, receivers: Receivers, process: Process) -> None:
        self._receivers = receivers
        self._process = process

    async def start(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Receipt:
        """See ``Courier.post``."""
        if self._process.dead:
            raise ConnectError("the process is dead")
        return await self._receivers.post(self._process, url, body, headers, timeout_s)
