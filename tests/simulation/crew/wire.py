"""One stream between a worker and a gateway: in order, late, until it is cut or dead."""

import asyncio
from typing import Any

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.server.carriers.worker.session import Session
from inferry.v1.worker_pb2 import GatewayMessage, WorkerMessage
from tests.simulation.crew.books import Books, session_of
from tests.simulation.life import Life
from tests.simulation.world import World

Metadata = tuple[tuple[str, str], ...]

#: Messages that the network takes before the worker has read them.
_WINDOW = 4
#: How a gateway says that it heard nothing, and how long that must have been at least: a clock that
#: is put forward may take one interval of three away.
_SILENT = "the worker said nothing"
_SILENT_S = 1.9
#: A message that is held up is held up for so long at most, and all that follow with it.
_STRAGGLE_S = 2.0


class EndError(Exception):
    """A stream has ended; the message says how."""

    def __init__(self, code: StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


class Wire:
    """A stream that a worker opened.

    Args:
        world: The world.
        life: The gateway.
        name: The worker.
        metadata: Its token.
        books: See what passes.
        stalled_ms: From which lag on a worker is stalled.
    """

    def __init__(
        self,
        world: World,
        life: Life,
        name: str,
        metadata: Metadata,
        books: Books,
        stalled_ms: int,
    ) -> None:
        self.world = world
        self.life = life
        self.name = name
        self.stalled_ms = stalled_ms
        #: What the gateway knows of it by what came there, and gave to it.
        self.server_id = ""
        self.granted = self.assigned = 0
        self.given: list[tuple[str, int]] = []
        #: What the worker said with its hello that it has, which counts once it is welcome.
        self.claimed: list[tuple[str, int]] = []
        self.heard_s = world.loop.time()
        self.goodbye = False
        #: The gateway wants another one in its place.
        self.unwanted = False
        #: When it ended well there, after a goodbye; None if it did not.
        self.parted_s: float | None = None
        self.closed_since_s: float | None = None
        self._session: Session | None = None
        self._books = books
        #: Nothing arrives any more, either way.
        self._hushed = False
        self._up = _Way(world)
        self._down = _Way(world)
        self._read = asyncio.Event()
        self._unread = 0
        self._serving = life.spawn(self._serve(metadata))
        self._serving.add_done_callback(self._served)

    @property
    def current(self) -> bool:
        """Whether the gateway takes what is said on it."""
        return not self.server_id or (
            self._session is not None
            and session_of(self) is self._session
            and not self._session.over
        )

    @property
    def dead(self) -> bool:
        """Whether nothing arrives any more."""
        return self._hushed or self._serving.done()

    def send(self, message: WorkerMessage) -> None:
        """Sends a message; whether it arrives, nobody knows."""
        self._suffer()
        self._up.put(WorkerMessage.FromString(message.SerializeToString()))

    def finish(self) -> None:
        """Says that nothing more will be sent."""
        self._up.put(None)

    def drop(self) -> None:
        """Lets go of it at once, as the end of a process does; the gateway hears of that."""
        self._down.put(EndError(StatusCode.CANCELLED, "dropped"))
        if not self._hushed:
            self.world.spawn(self._cut())

    def abandon(self) -> None:
        """Is not read any more; what was said on it is still on its way."""
        self._down.put(EndError(StatusCode.CANCELLED, "abandoned"))

    def hush(self) -> None:
        """Lets nothing arrive any more, and nobody notice."""
        self.world.trace(self.name, "loses its network")
        self._hushed = True

    async def read(self) -> GatewayMessage:
        """Gives the next message.

        Raises:
            EndError: The stream has ended.
        """
        while True:
            message: GatewayMessage | EndError = await self._down.get()
            if isinstance(message, EndError):
                raise message
            if not self._hushed:
                self._unread -= 1
                self._read.set()
                return message

    async def arriving(self) -> WorkerMessage | None:
        """Gives the gateway the next message; None when no more comes."""
        while True:
            message: WorkerMessage | None = await self._up.get()
            if not self._hushed:
                if message is not None:
                    self._books.heard(self, message)
                return message

    async def _serve(self, metadata: Metadata) -> None:
        call = self.life.worker_stub.Connect(_Requests(self), metadata=metadata)
        try:
            async for message in call:
                self._books.sent(self, message)
                if message.HasField("welcome"):
                    self._session = session_of(self)
                self._suffer()
                self._unread += 1
                self._down.put(GatewayMessage.FromString(message.SerializeToString()))
                while self._unread >= _WINDOW:
                    self._read.clear()
                    await self._read.wait()
        finally:
            call.cancel()

    def _served(self, serving: asyncio.Task[None]) -> None:
        self._books.ended(self)
        if serving.cancelled():
            end = EndError(StatusCode.CANCELLED, "")
        elif (error := serving.exception()) is None:
            end = EndError(StatusCode.OK, "")
            if self.goodbye and not self.unwanted:
                self.parted_s = self.world.loop.time()
        elif isinstance(error, AioRpcError):
            end = EndError(error.code(), error.details() or "")
        else:
            raise error
        if end.code in (StatusCode.INTERNAL, StatusCode.UNKNOWN) and not self.life.dead:
            self.world.violate(f"a stream ended with {end}")
        self.world.trace(self.name, "stream ends at the gateway:", end)
        if _SILENT in end.details and self.world.loop.time() - self.heard_s < _SILENT_S:
            self.world.violate(f"{self.name} is taken for silent, which it was not: {end}")
        if not self._hushed:
            self._down.put(end)

    def _suffer(self) -> None:
        """Lets something happen to the network, perhaps."""
        weather = self.world.weather
        if self._hushed:
            return
        if self.world.happens(weather.hush_p):
            self.hush()
        elif self.world.happens(weather.sever_p):
            self.world.trace(self.name, "stream is cut")
            self.drop()

    async def _cut(self) -> None:
        await self.world.travel()
        self._serving.cancel()


class _Requests:
    """What comes on a stream, as the gateway iterates over it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __aiter__(self) -> "_Requests":
        return self

    async def __anext__(self) -> WorkerMessage:
        message = await self._wire.arriving()
        if message is None:
            raise StopAsyncIteration
        return message


class _Way:
    """One direction: each message takes its time, and none overtakes another."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._messages: asyncio.Queue[tuple[float, Any]] = asyncio.Queue()
        self._last_s = 0.0

    def put(self, message: Any) -> None:
        """Sends one on its way."""
        world, weather = self._world, self._world.weather
        takes_s = world.between(0.0, 0.002 if world.calm else weather.latency_s)
        if world.happens(weather.straggle_p / 8):
            takes_s += world.between(0.0, min(weather.straggle_s, _STRAGGLE_S))
        self._last_s = max(self._last_s, world.loop.time() + takes_s)
        self._messages.put_nowait((self._last_s, message))

    async def get(self) -> Any:
        """Gives the next one when it has arrived."""
        at_s, message = await self._messages.get()
        await asyncio.sleep(max(0.0, at_s - self._world.loop.time()))
        return message
