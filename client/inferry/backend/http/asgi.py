"""A backend as an ASGI application: its requests come on the server's loop, its work does not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from inferry.backend.errors import RefusedError, SetupError
from inferry.backend.http.routes import Answer
from inferry.backend.http.transport import BODY_BYTES

if TYPE_CHECKING:
    from inferry.backend.http import Server

_log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ENDED = Answer(503, b'{"status":"error","error":"it has ended","code":"INTERNAL_ERROR"}')
_TOO_LARGE = Answer(413, b'{"status":"error","error":"too large","code":"RESOURCE_LIMIT"}')


class AsgiApp:
    """The application; see ``asgi``."""

    def __init__(self, server: "Server", on_refused: Callable[[str], None] | None = None) -> None:
        self._server = server
        self._on_refused = on_refused

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves one connection, or the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Starts the backend, and drains it at the end: for an application that mounts this one."""
        await asyncio.to_thread(self._server.start)
        watching = asyncio.create_task(self._tell_of_its_end())
        try:
            yield
        finally:
            self._server.drain()
            # That was told when it happened.
            with suppress(RefusedError):
                await asyncio.to_thread(self._server.wait)
            await watching

    async def _tell_of_its_end(self) -> None:
        """Logs why the backend has ended: its server asks no earlier than it ends itself."""
        try:
            await asyncio.wrap_future(self._server.ending)
        except (SetupError, RefusedError, OSError) as error:
            _log.error("the backend has ended: %s", error)
            if self._on_refused is not None and isinstance(error, RefusedError):
                self._on_refused(str(error))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        told = "startup"
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                told = "shutdown"
                await receive()
        except Exception as error:  # noqa: BLE001 - the server says what it was
            _log.exception("the backend failed")
            await send({"type": f"lifespan.{told}.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        answer = _TOO_LARGE
        if self._server.ending.done():
            answer = _ENDED
        elif body is not None:
            found = await self._ask(scope, body, receive)
            if found is None:
                return
            answer = found
        headers = {"Content-Type": "application/json", **answer.headers}
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _ask(self, scope: Message, body: bytes, receive: Receive) -> Answer | None:
        """Has a call answered on the transport's loop; None if the caller hung up before."""
        given = scope.get("headers", ())
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in given}
        answer = self._server.http.answer(scope["method"], scope["path"], body, headers)
        work = self._server.submit(answer)
        answering = asyncio.wrap_future(work)
        leaving = asyncio.ensure_future(_until_gone(receive))
        both: set[asyncio.Future[Any]] = {answering, leaving}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return answering.result() if answering.done() else None
        finally:
            answering.cancel()
            leaving.cancel()


async def _read(receive: Receive) -> bytes | None:
    """Reads a body; None if it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
