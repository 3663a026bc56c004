"""The network between gateways and backends: the gateway's HTTP client, simulated."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import orjson

from inferry.server.clock import SteadyClock
from inferry.server.outbound.client import Answer
from inferry.server.outbound.errors import AnswerError, AnswerTimeoutError, ConnectError
from tests.simulation.history import WRITTEN_S, Answered
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.backends import Backend
    from tests.simulation.receivers import Receivers

#: How a result begins.
SUCCESS = b'{"status":"success"'

T = TypeVar("T")


class Process(Protocol):
    """Whose requests they are."""

    dead: bool
    clock: SteadyClock

    @property
    def epoch(self) -> int:
        """That of the gateway that runs in it now."""


#: Looks at a request.
Inspect = Callable[[str, bytes, Process], None]


class Network:
    """Brings requests to backends, slowly, wrongly, or not at all.

    Args:
        world: The world.
        apart: Whether it goes on while a gateway is frozen.
    """

    def __init__(self, world: World, *, apart: bool) -> None:
        self.world = world
        self.apart = apart
        self.backends: dict[str, Backend] = {}
        #: What webhooks lead to.
        self.receivers: Receivers
        #: Looks at each request that leaves a gateway: its url and body, and whose it is.
        self.inspect: Inspect = lambda _url, _body, _process: None

    async def carry(self, exchange: Coroutine[Any, Any, T]) -> T:
        """Exchanges a request for its answer, whether or not its sender stands still meanwhile."""
        if not self.apart:
            return await exchange
        carrying = self.world.loop.create_task(exchange, context=self.world.context)
        try:
            await asyncio.wait({carrying})
        except asyncio.CancelledError:
            carrying.cancel()
            raise
        return carrying.result()

    async def exchange(self, url: str, body: bytes) -> Answer:
        """Brings one request to its backend and the answer back.

        Raises:
            ConnectError: Nothing was sent.
            AnswerError: It was sent, and no whole answer came back.
        """
        world, weather = self.world, self.world.weather
        parts = urlsplit(url)
        await world.travel()
        backend = self.backends[parts.netloc]
        if not backend.up or world.happens(weather.refuse_p):
            raise ConnectError("no connection: Connection refused")
        if world.happens(weather.cut_before_p):
            await world.travel()
            raise AnswerError("the connection broke before the whole answer was there")
        if world.happens(weather.straggle_p):
            await asyncio.sleep(world.between(0, weather.straggle_s))
        answer = await backend.take(parts.path, body)
        await world.travel()
        if answer is None or world.happens(weather.cut_after_p):
            raise AnswerError("the connection broke before the whole answer was there")
        return answer

    def answered(self, job: dict[str, Any], process: Process) -> None:
        """A gateway has a result now; if it lives on, it has to stand by that."""
        answered = Answered(job["id"], job["attempt"], process.clock.now_ms())
        self.world.spawn(self._note(answered, process))

    async def _note(self, answered: Answered, process: Process) -> None:
        excused_s = self.world.excused_s
        await asyncio.sleep(WRITTEN_S)
        # What began to go wrong meanwhile may keep it from that for longer.
        if not process.dead and self.world.excused_s == excused_s:
            self.world.history.answered.append(answered)


class SimulatedOutbound:
    """What a gateway has instead of ``Outbound``."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    async def start(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        timeout_s: float,
        private_allowed: bool,
        headers: Mapping[str, str] | None = None,
        connected: Callable[[], object] | None = None,
    ) -> Answer:
        """See ``Outbound.post``."""
        if connected is not None and not self._process.dead:
            connected()
        return await self._send(url, body, timeout_s)

    async def get(
        self,
        url: str,
        *,
        timeout_s: float,
        private_allowed: bool,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """See ``Outbound.get``."""
        return await self._send(url, b"", timeout_s)

    async def _send(self, url: str, body: bytes, timeout_s: float) -> Answer:
        if self._process.dead:
            raise ConnectError("the process is dead")
        if timeout_s <= 0:
            raise ConnectError("no time is left to send the request")
        self._network.inspect(url, body, self._process)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._network.carry(self._network.exchange(url, body))
        except TimeoutError:
            raise AnswerTimeoutError(f"no whole answer within {timeout_s:g} s") from None
        if answer.body.startswith(SUCCESS):
            self._network.answered(orjson.loads(body), self._process)
        return answer
