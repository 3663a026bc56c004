"""Every request comes through here: finds who answers, and makes every failure an answer."""

import logging
from itertools import count
from secrets import token_hex
from time import perf_counter

import grpc.aio
import structlog
from aiohttp import web

from inferry.bridge.contract import KEY_HEADER, REPLAYED_HEADER, TICKET
from inferry.bridge.errors import CLOSE, BridgeError
from inferry.bridge.exchange import ROUTE, Exchange, Routed
from inferry.bridge.figures import RestFigures
from inferry.bridge.router import Router
from inferry.bridge.rpc_errors import http_error
from inferry.wire.request_ids import is_request_id
from inferry.wire.trace import TRACEPARENT, TRACESTATE

# Polyfills of EventSource send Cache-Control and X-Requested-With.
_ALLOWED_HEADERS = (
    f"Authorization, Cache-Control, Content-Type, {KEY_HEADER}, Last-Event-ID, Prefer, "
    f"{TRACEPARENT}, {TRACESTATE}, X-Request-ID, X-Requested-With"
)
_EXPOSED_HEADERS = f"{REPLAYED_HEADER}, Location, Preference-Applied, Retry-After, X-Request-ID"
#: What a browser may remember of a preflight.
_PREFLIGHT_AGE_S = 600
#: Of a path: anybody may send one.
_LOGGED_CHARS = 200


class Handler:
    """Answers requests.

    Args:
        router: Finds who answers.
        cors_origins: Whose pages may call.
        figures: Counts the answers; None for nobody.
    """

    def __init__(
        self, router: Router[Routed], cors_origins: tuple[str, ...], figures: RestFigures | None
    ) -> None:
        self._router = router
        self._figures = figures
        self._cors_origins = frozenset(cors_origins)
        # Unlike those of any other process; within this one they are counted.
        self._new_request_id = map(f"{token_hex(4)}{{:08x}}".format, count()).__next__
        # Bound once: a logger that is bound anew for each line costs more than the line.
        self._log = structlog.get_logger(__name__).bind()
        #: Whether good answers have a line, too.
        self._tells_all = self._log.is_enabled_for(logging.DEBUG)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request; only a client that goes away makes it raise."""
        began = perf_counter()
        path = request.rel_url.raw_path
        given = request.headers.get("X-Request-ID")
        request_id = given if given and is_request_id(given) else self._new_request_id()
        headers = {"X-Request-ID": request_id}
        if self._cors_origins:
            headers.update(self._cors(request))
        try:
            response = await self._answer(request, path, request_id, headers)
        except BridgeError as error:
            response = _refuse(error, headers)
        except grpc.aio.AioRpcError as error:
            response = _refuse(http_error(error), headers)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - the last line of defence
            self._log.exception("request failed", path=path[:_LOGGED_CHARS], request_id=request_id)
            if request.writer.output_size > 0:
                raise ConnectionError("the answer has begun: it cannot become an error") from None
            response = _refuse(BridgeError(500, "INTERNAL_ERROR", "internal error"), headers)
        took_s, status = perf_counter() - began, response.status
        if self._figures is not None:
            self._figures.note(request.method, request.get(ROUTE, ""), status, took_s)
        self._note(request, path, request_id, status, took_s)
        return response

    async def _answer(
        self, request: web.BaseRequest, path: str, request_id: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        if request.version.major != 1:
            # A 505 would be right, and look like a failure of ours to whoever counts those.
            raise BridgeError(400, "INVALID_PAYLOAD", "the request is no HTTP/1.1", headers=CLOSE)
        if request.rel_url.raw_query_string and request.rel_url.query.get(TICKET):
            watched = self._router.reader(path)
            if watched is not None and watched.takes_ticket:
                # The ticket is all that counts, and no browser adds one by itself.
                headers.update(_open_to("*"))
        if request.method == "OPTIONS":
            return self._options(path, headers)
        endpoint, variables = self._router.find(request.method, path)
        return await endpoint(Exchange(request, headers, request_id, variables))

    def _options(self, path: str, headers: dict[str, str]) -> web.StreamResponse:
        allowed = ", ".join(self._router.allowed(path))
        headers["Allow"] = allowed
        if "Access-Control-Allow-Origin" in headers:
            headers["Access-Control-Allow-Methods"] = allowed
            headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
            headers["Access-Control-Max-Age"] = str(_PREFLIGHT_AGE_S)
        return web.Response(status=204, headers=headers)

    def _cors(self, request: web.BaseRequest) -> dict[str, str]:
        origin = request.headers.get("Origin", "")
        if "*" in self._cors_origins:
            allowed = "*"
        elif origin in self._cors_origins:
            allowed = origin
        else:
            return {"Vary": "Origin"}
        return {"Vary": "Origin", **_open_to(allowed)}

    def _note(
        self, request: web.BaseRequest, path: str, request_id: str, status: int, took_s: float
    ) -> None:
        if status < 400 and not self._tells_all:  # noqa: PLR2004
            return
        log = self._log.debug
        if status >= 400:  # noqa: PLR2004
            log = self._log.warning if status >= 500 else self._log.info  # noqa: PLR2004
        # Never the query: a callback's holds its token.
        log(
            "request",
            method=request.method,
            path=path[:_LOGGED_CHARS],
            status=status,
            ms=round(took_s * 1_000, 1),
            request_id=request_id,
        )


def _open_to(origin: str) -> dict[str, str]:
    """Lets pages of an origin, or with ``*`` of any, read an answer."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _EXPOSED_HEADERS,
    }


def _refuse(error: BridgeError, headers: dict[str, str]) -> web.Response:
    response = web.Response(
        body=error.body(),
        status=error.status,
        headers={**headers, "Content-Type": "application/json", **error.headers},
    )
    if error.headers.get("Connection") == "close":
        response.force_close()
    return response
