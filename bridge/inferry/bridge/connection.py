"""HTTP connections with the timers that aiohttp does not have.

aiohttp waits for ever for the end of a request's headers; a client that sends them byte by byte
would hold its connection as long as it likes. So would one that reads nothing (``unread``).

Names of aiohttp that it does not promise, which a test looks for:

- ``RequestHandler``: ``_waiter`` (None, or what wakes it when a request comes), ``_request_count``
  (grows with each whole head, and with what is no HTTP), ``_messages`` (those, and their bodies,
  until somebody answers), ``_task_handler`` (the task that answers, None after the end);
  ``connection_made``, ``data_received``, ``connection_lost``, ``finish_response``,
  ``handle_error``, ``close`` (drops what comes) and ``force_close`` as overridden or called here.
- ``BaseRequest``: ``_prepare_hook`` (called before the head of an answer is written).
- ``StreamWriter``: ``output_size`` (bytes of an answer that were written).
"""

import asyncio
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import Any

import structlog
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from inferry.bridge.config import BridgeConfig
from inferry.bridge.errors import BridgeError
from inferry.bridge.unread import UnreadTimer

#: How long the rest of what was refused is read: a connection that is closed at once may lose the
#: answer on its way.
_LINGER_S = 1.0
#: How long an idle connection may bring another request when the bridge stops.
_LAST_CALL_S = 1.0
#: What handlers get that are broken off; aiohttp takes 0 for ever.
_BROKEN_OFF_S = 0.05

#: aiohttp's words for it.
_TOO_MANY = "Too many headers received"

_log = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One client's connection."""

    def __init__(
        self, server: "ConnectionServer", header_timeout_s: float, unread_s: float, **settings: Any
    ) -> None:
        super().__init__(server, **settings)
        self._server = server
        self._header_timeout_s = header_timeout_s
        self._header_timer: asyncio.TimerHandle | None = None
        self._unread = UnreadTimer(unread_s)
        #: Ends with the connection: see ``Exchange.end_with_client``.
        self.abandoned_with: asyncio.Task[Any] | None = None
        #: The body of the last request, which may still be coming.
        self._body: StreamReader | None = None
        #: Set when what came is no HTTP: there is no next request to look for.
        self._refused = False
        self._lost = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts to wait for the first request."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Takes bytes; those that begin a request start the timer, those that end it stop it."""
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            self._end_body()
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None
        elif self._header_timer is None and self._waiter is not None:
            self._await_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends what nobody waits for any more."""
        working = self._task_handler
        super().connection_lost(exc)
        if working is None:
            self._server.note_end()
        else:
            working.add_done_callback(lambda _: self._server.note_end())
        self._unread.stop()
        if self._header_timer is not None:
            self._header_timer.cancel()
        if self.abandoned_with is not None:
            self.abandoned_with.cancel()
        self._lost.set()

    def pause_writing(self) -> None:
        """Has the answer wait for a client that does not keep up."""
        super().pause_writing()
        if self.transport is not None:
            self._unread.start(self.transport)

    def resume_writing(self) -> None:
        """Has the answer go on."""
        super().resume_writing()
        self._unread.stop()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends an answer; one that is the last on its connection says so."""
        if self._server.last_call or self._refused:
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        if self._refused:
            await self._linger()
        return finished

    async def _linger(self) -> None:
        """Drops what still comes, until the client has the answer and hangs up."""
        self.close()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._lost.wait()
        self.force_close()

    def _end_body(self) -> None:
        """Tells who reads a body that its chunks are none; aiohttp lets them wait for more."""
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(web.RequestPayloadError("the chunks are none"))
            self._refused = True
        self._body = self._messages[-1][1]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what came
    ) -> web.StreamResponse:
        """Answers what is no HTTP that can be read."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("nobody reads the answer, or it has begun") from exc
        if status == 500:  # noqa: PLR2004
            _log.error("answer failed", exc_info=exc)
            error = BridgeError(500, "INTERNAL_ERROR", "internal error")
        else:
            error = self._unreadable(exc)
        response = web.Response(
            body=error.body(),
            status=error.status,
            headers={"Content-Type": "application/json", "X-Request-ID": token_hex(8)},
        )
        response.force_close()
        self._refused = True
        return response

    def _unreadable(self, exc: BaseException | None) -> BridgeError:
        reason = ""
        if isinstance(exc, LineTooLong):
            limit = f"{self.max_line_size:,} bytes"
            return _too_large(f"the first line or a header has more than {limit}")
        # The others quote what came: a URL, and so a callback's token.
        if type(exc) is BadHttpMessage:
            if exc.message == _TOO_MANY:
                return _too_large(f"the request has more than {self.max_headers} headers")
            reason = f": {exc.message.partition(':')[0].rstrip('.')}"
        return BridgeError(400, "INVALID_PAYLOAD", f"the request is no HTTP/1.1{reason}")

    def _await_headers(self) -> None:
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(self._header_timeout_s, self.force_close)


def _too_large(message: str) -> BridgeError:
    return BridgeError(431, "INVALID_PAYLOAD", message)


class Request(web.BaseRequest):
    """A request whose answer does not tell what it was made with."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.popall("Server", None)


class ConnectionServer(web.Server):
    """Makes the connections."""

    def __init__(self, handler: Any, config: BridgeConfig) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(handler, request_factory=partial(Request, loop=loop))
        self._config = config
        #: Whether each answer is the last on its connection.
        self.last_call = False
        self._empty = asyncio.Event()

    def __call__(self) -> Connection:
        """Makes the protocol of a new connection."""
        config = self._config
        return Connection(
            self,
            header_timeout_s=config.header_timeout_ms / 1_000,
            unread_s=config.keepalive_timeout_ms / 1_000,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=config.keepalive_timeout_ms / 1_000,
            max_line_size=config.header_limit_bytes,
            max_field_size=config.header_limit_bytes,
            max_headers=config.header_limit,
            # An inflated body may be a thousand times as large as what came.
            auto_decompress=False,
            lingering_time=_LINGER_S,
            access_log=None,
        )

    def note_end(self) -> None:
        """Takes notice that a connection has gone, and all work for it."""
        if not self.connections:
            self._empty.set()

    async def finish(self, grace_s: float) -> None:
        """Ends all connections: what was asked on them is answered, within ``grace_s``.

        A request that is on its way when its connection is closed fails, and not every client may
        send it again. So each answer says that it is the last, connections that are idle have a
        while to bring another request, and only those that bring none are closed unasked.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + grace_s
        self.last_call = True
        await self._gone(min(loop.time() + _LAST_CALL_S, ends_s))
        for connection in self.connections:
            if isinstance(connection, Connection) and connection.idle:
                connection.force_close()
        await self._gone(ends_s)
        await self.shutdown(_BROKEN_OFF_S)

    async def _gone(self, until_s: float) -> None:
        """Waits until there is no connection, or until a time of the loop's clock."""
        self._empty.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                if self.connections:
                    await self._empty.wait()
