"""One gateway after another in one process: who loses its place begins anew as somebody else.

A replica that others took over from may write nothing more, and must not: its servers are theirs.
It lets go of everything, and another gateway starts in its place, on the same ports.
"""

import asyncio

import structlog

from inferry.server.app.gateway import Gateway
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.server.store import StoreError

#: Between two tries to start.
_AGAIN_S = 1.0

_log = structlog.get_logger(__name__)


class Lives:
    """Is a gateway as long as the process lives; see ``Gateway``, which it takes the place of.

    Args:
        config: The settings.
        public_url: Where backends reach the gateway's REST, whose port is taken by now.
        clock: The time, if it is not the machine's.

    Raises:
        SecretError: There is no secret that would do.
        OSError: The data directory cannot be made.
    """

    def __init__(self, config: Config, public_url: str, clock: SteadyClock | None = None) -> None:
        self._config = config
        self._public_url = public_url
        self._clock = clock
        self._gateway = Gateway(config, public_url, clock)
        self._stopping = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        #: Where stubs in this process call the gateway that is there.
        self.channel = self._gateway.channel
        #: Set when one has begun in the place of another.
        self.anew = asyncio.Event()
        #: ``HOST:PORT`` of gRPC, once started.
        self.grpc_address = ""

    @property
    def gateway(self) -> Gateway:
        """The one that is there now."""
        return self._gateway

    async def start(self) -> None:
        """Starts; see ``Gateway.start``."""
        await self._gateway.start()
        self.grpc_address = self._gateway.grpc_address
        # The next one listens where this one does, also if the port was a free one.
        port = int(self.grpc_address.rpartition(":")[2])
        self._config = self._config.model_copy(update={"grpc_port": port})
        self._life = asyncio.create_task(self._live_on(), name="lives")

    def begin_stop(self) -> float:
        """Begins the time of grace; see ``Gateway.begin_stop``."""
        return self._gateway.begin_stop()

    async def stop(self) -> None:
        """Stops for good; see ``Gateway.stop``."""
        self._stopping.set()
        # A start under way is not broken off, for it would leave half of everything behind.
        if self._life is not None:
            await self._life
        await self._gateway.stop()

    async def _live_on(self) -> None:
        while await self._loses():
            _log.warning("another replica took over: the gateway begins anew")
            self.channel.leave()
            await self._gateway.abandon()
            self.anew.clear()
            while not (self.anew.is_set() or self._stopping.is_set()):
                await self._begin_anew()

    async def _loses(self) -> bool:
        """Waits until the gateway has lost its place; False if it is stopped before."""
        waits = [asyncio.ensure_future(one.wait()) for one in (self._gateway.lost, self._stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return not self._stopping.is_set()

    async def _begin_anew(self) -> None:
        self._gateway = Gateway(self._config, self._public_url, self._clock)
        try:
            await self._gateway.start()
        except (OSError, StoreError) as error:
            _log.error("the gateway cannot begin anew yet", error=str(error))
            await self._gateway.abandon()
            await asyncio.sleep(_AGAIN_S)
        else:
            self.channel.follow(self._gateway.channel)
            self.anew.set()
