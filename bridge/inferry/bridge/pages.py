"""What anybody may read without a token: health and documentation."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import grpc
import grpc.aio
import orjson
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inferry.bridge.comments import read_comments
from inferry.bridge.docs.page import docs_page
from inferry.bridge.exchange import Exchange
from inferry.bridge.openapi.document import openapi
from inferry.bridge.routes import Route
from inferry.wire.health import NOT_READY

#: How long the gateway may take to say that it is well.
_PATIENCE_S = 5.0
_SERVING = health_pb2.HealthCheckResponse.SERVING
#: Why it does not serve, if it cannot say so itself.
_UNREACHABLE = "unreachable"


class Page:
    """Answers the same text always.

    Args:
        body: The text.
        content_type: Its type.
        headers: What goes with it.
    """

    def __init__(self, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        self._body = body
        self._content_type = content_type
        self._headers = headers

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200."""
        return exchange.reply(self._body, self._content_type, headers=self._headers)


class Start:
    """Leads on from the gateway's address: a browser to a page, others by a list of what there is.

    Args:
        prefix: What stands before all paths.
        web: Whether the web page is there.
    """

    def __init__(self, prefix: str, *, web: bool) -> None:
        self._first = "ui/" if web else "docs"
        places = {"page": "/ui/"} if web else {}
        places |= {"docs": "/docs", "openapi": "/openapi.json", "health": "/health"}
        self._index = {"name": "inferry", "version": version("inferry")} | {
            name: f"{prefix}{path}" for name, path in places.items()
        }

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with the list, or 302 to whoever would rather have HTML."""
        request = exchange.request
        vary = {"Vary": ", ".join(filter(None, (exchange.headers.get("Vary"), "Accept")))}
        if "text/html" not in request.headers.get("Accept", "").lower():
            return exchange.answer(self._index, headers=vary)
        # Relative, as all links here: whatever stands before stays before.
        here = request.rel_url.raw_path.rpartition("/")[2]
        location = f"{here}/{self._first}" if here else self._first
        return exchange.reply(b"", "text/html; charset=utf-8", 302, {"Location": location, **vary})


class Health:
    """Tells whether the gateway behind the bridge serves."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # Its types leave out what it calls.
        self._stub: Any = health_pb2_grpc.HealthStub(channel)
        self._version = version("inferry")

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 when it serves, else 503 with the reason."""
        serves, reason = await self._ask()
        content = {"status": "healthy" if serves else "unhealthy", "version": self._version}
        if reason:
            content["reason"] = reason
        return exchange.answer(content, 200 if serves else 503)

    async def _ask(self) -> tuple[bool, str]:
        """Tells whether the gateway serves, and why it does not if that is known."""
        call = self._stub.Check(health_pb2.HealthCheckRequest(), timeout=_PATIENCE_S)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            # A gateway that does not offer the health service answered all the same.
            answered = error.code() is grpc.StatusCode.UNIMPLEMENTED
            return answered, "" if answered else _reason(error.trailing_metadata(), _UNREACHABLE)
        return answer.status == _SERVING, _reason(await call.trailing_metadata(), "")


def _reason(metadata: Any, usual: str) -> str:
    return next((str(value) for key, value in metadata or () if key == NOT_READY), usual)


async def alive(exchange: Exchange) -> web.Response:
    """Answers 200 as long as the process can: it asks nobody, and no store."""
    return exchange.answer({"status": "alive"})


def openapi_page(routes: list[Route], prefix: str) -> Page:
    """Makes the page of the OpenAPI document; ``prefix`` stands before the paths."""
    document = openapi(routes, read_comments(), version("inferry"), prefix)
    policy = {"Content-Security-Policy": "default-src 'none'"}
    return Page(orjson.dumps(document), "application/json", policy)


def endpoints_page(routes: list[Route], prefix: str) -> Page:
    """Makes the page that lists the endpoints; ``prefix`` stands before the paths."""
    page, headers = docs_page(routes, read_comments(), version("inferry"), prefix)
    return Page(page, "text/html; charset=utf-8", headers)
