"""HTTP connections with the timers that aiohttp does not have.

aiohttp waits for ever for the end of a request's headers; a client that sends them byte by byte
would hold its connection as long as it likes.
"""

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from inferry.bridge.config import BridgeConfig
from inferry.bridge.errors import BridgeError

#: How long the rest of a body that was refused is read: a connection that is closed at once may
#: lose the answer on its way.
_LINGER_S = 1.0

_log = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One client's connection."""

    def __init__(self, manager: web.Server, *, header_timeout_s: float, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._header_timeout_s = header_timeout_s
        self._header_timer: asyncio.TimerHandle | None = None
        #: Ends with the connection: see ``Exchange.end_with_client``.
        self.abandoned_with: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts to wait for the first request."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Takes bytes; those that begin a request start the timer, those that end it stop it."""
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None
        elif self._header_timer is None and self._waiter is not None:
            self._await_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends what nobody waits for any more."""
        super().connection_lost(exc)
        if self._header_timer is not None:
            self._header_timer.cancel()
        if self.abandoned_with is not None:
            self.abandoned_with.cancel()

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
        error = BridgeError(status, "INVALID_PAYLOAD", "the request is no HTTP/1.1")
        if isinstance(exc, LineTooLong):
            error = BridgeError(431, "INVALID_PAYLOAD", "a header or the URL is too long")
        if status == 500:  # noqa: PLR2004
            _log.error("answer failed", exc_info=exc)
            error = BridgeError(500, "INTERNAL_ERROR", "internal error")
        response = web.Response(
            body=error.body(), status=error.status, headers={"Content-Type": "application/json"}
        )
        response.force_close()
        return response

    def _await_headers(self) -> None:
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(self._header_timeout_s, self.force_close)


class ConnectionServer(web.Server):
    """Makes the connections."""

    def __init__(self, handler: Any, config: BridgeConfig) -> None:
        super().__init__(handler)
        self._config = config

    def __call__(self) -> Connection:
        """Makes the protocol of a new connection."""
        config = self._config
        return Connection(
            self,
            header_timeout_s=config.header_timeout_ms / 1_000,
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
