"""A proxy on loopback between a store and its database that loses connections where a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from urllib.parse import urlsplit

#: What the database answers to: a statement, or the end of one that came in parts.
_ASKS = {b"Q", b"S"}
_READY = b"Z"


class Cut(Enum):
    """How a connection is lost at a message."""

    #: It does not arrive.
    BEFORE = auto()
    #: It is answered, and the answer does not arrive.
    AFTER = auto()
    #: It arrives when the other side has long given up: ``DatabaseProxy.late`` is set.
    LATE = auto()


class DatabaseProxy:
    """Forwards connections to a database."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        #: Asked from here on, over all connections.
        self.asked: list[bytes] = []
        #: What to do at the next message of those that contains this.
        self.cut: tuple[bytes, Cut] | None = None
        #: Or at the one of this number, counted from 0.
        self.cut_at: tuple[int, Cut] | None = None
        #: Whether connections are refused.
        self.away = False
        self.late = asyncio.Event()
        #: Is set when a connection comes.
        self.met = asyncio.Event()
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.met.set()
        if self.away:
            writer.close()
            return
        self.serving.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await _Connection(self, reader, writer).run(*self._to)
        finally:
            self.serving.discard(task)
            writer.close()

    def lose_all(self) -> None:
        """Loses every connection and refuses new ones."""
        self.away = True
        for task in self.serving:
            task.cancel()

    def take(self, kind: bytes, body: bytes) -> Cut | None:
        """Notes a message that is answered; tells what is to happen to it."""
        if kind not in _ASKS:
            return None
        place = len(self.asked)
        self.asked.append(body)
        if self.cut is not None and self.cut[0] in body:
            (_, cut), self.cut = self.cut, None
            return cut
        if self.cut_at is not None and self.cut_at[0] == place:
            (_, cut), self.cut_at = self.cut_at, None
            return cut
        return None


class _Connection:
    def __init__(
        self, proxy: DatabaseProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._silent = False
        self._answered = asyncio.Event()

    async def run(self, host: str | None, port: int | None) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        back = asyncio.create_task(self._send_back(reader))
        try:
            # The first message has no kind.
            length = await self._reader.readexactly(4)
            writer.write(length + await self._reader.readexactly(int.from_bytes(length) - 4))
            await self._forward(writer)
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            writer.close()

    async def _forward(self, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, message = await _message(self._reader)
            match self._proxy.take(kind, message):
                case Cut.BEFORE:
                    return
                case Cut.AFTER:
                    self._silent = True
                    self._answered.clear()
                    writer.write(message)
                    await self._answered.wait()
                    return
                case Cut.LATE:
                    self._writer.close()
                    await self._proxy.late.wait()
                    self._silent = True
                    self._answered.clear()
                    writer.write(message)
                    await self._answered.wait()
                    return
            writer.write(message)

    async def _send_back(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                kind, message = await _message(reader)
                if not self._silent:
                    self._writer.write(message)
                if kind == _READY:
                    self._answered.set()
        self._answered.set()
        self._writer.close()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Reads a message: its kind, and all of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


@asynccontextmanager
async def database_proxy(url: str) -> AsyncIterator[tuple[DatabaseProxy, str]]:
    """Runs a proxy before a database; gives it and the URL to use."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = DatabaseProxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    user = f"{parts.username}:{parts.password or ''}@"
    try:
        async with server:
            yield (
                proxy,
                parts._replace(netloc=f"{user}{host}:{port}", query="sslmode=disable").geturl(),
            )
            proxy.lose_all()
    finally:
        proxy.lose_all()
        await asyncio.gather(*proxy.serving, return_exceptions=True)
