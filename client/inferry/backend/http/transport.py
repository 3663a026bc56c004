"""The way of HTTP: a server for the gateway's calls, and a client for callbacks."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from inferry.backend.attempt import AttemptKey, Report
from inferry.backend.engine import Engine
from inferry.backend.http.callers import Callers, UnknownCallerError
from inferry.backend.http.courier import Courier
from inferry.backend.http.keys import GatewayKeys, NoKeysError
from inferry.backend.http.registration import Gateway, Registration
from inferry.backend.http.routes import Answer, Routes, refusal
from inferry.backend.load import LoadMeter
from inferry.wire.hosts import with_port
from inferry.wire.limits import ENVELOPE_BYTES, REQUEST_BYTES

_log = logging.getLogger(__name__)

#: Of a request: a payload and what stands around it.
BODY_BYTES = REQUEST_BYTES + ENVELOPE_BYTES
#: How long answers under way may take at the end.
_LAST_ANSWERS_S = 2.0
#: Of a deregistration; the gateway grants no more.
_LONGEST_GRACE_S = 600.0
_NOT_FOUND = Answer(404, b'{"status":"error","error":"no such route","code":"NOT_FOUND"}')


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backend is reached."""

    #: The address to listen on; None listens nowhere.
    host: str | None
    #: 0 takes a free one.
    port: int
    #: What the gateway calls it by; None for where it listens.
    url: str | None


class HttpTransport:
    """Brings tasks and carries reports over HTTP; see ``Transport``.

    Args:
        engine: Takes the tasks.
        place: Where to listen.
        gateway: Whose calls to take, and where to register; None takes all, and leaves that to
            others.
        on_ready: Called once with the URL and the server's id, empty if it is not registered.
    """

    def __init__(
        self,
        engine: Engine,
        place: Place,
        gateway: Gateway | None,
        on_ready: Callable[[str, str], None] | None,
    ) -> None:
        self._engine = engine
        self._place = place
        self._gateway = gateway
        self._on_ready = on_ready
        self._load = LoadMeter()
        self._routes = Routes(engine, self._load)
        self._ready = asyncio.Event()
        self._http: aiohttp.ClientSession
        self._courier: Courier
        self._keys: GatewayKeys | None = None
        self._callers: Callers | None = None
        self._runner: web.AppRunner | None = None
        self._registration: Registration | None = None
        #: Where it is reached, once it is open.
        self.url = place.url or ""

    async def open(self) -> None:
        """Starts to listen."""
        connector = aiohttp.TCPConnector(limit=max(8, min(100, self._engine.app.slots)))
        self._http = aiohttp.ClientSession(connector=connector, trust_env=False)
        self._courier = Courier(self._http, self._engine)
        if self._gateway is not None:
            self._keys = GatewayKeys(self._http, self._gateway.url)
            self._callers = Callers(self._keys, lambda: self.url)
        if self._place.host is not None:
            await self._listen(self._place.host)

    async def run(self) -> None:
        """Delivers what is left from before, registers when ready, and stays registered."""
        for report in self._engine.outbox.reports():
            if report.address:
                self._courier.send(report)
        await self._ready.wait()
        if self._gateway is not None and self._gateway.register:
            registration = Registration(
                self._http, self._gateway, self._engine, self.url, self._load
            )
            await registration.register()
            self._registration = registration
            _log.info("registered as %s", registration.id)
        if self._on_ready is not None:
            self._on_ready(self.url, self._registration.id if self._registration else "")
        if self._registration is not None:
            await self._registration.keep()
        await asyncio.Event().wait()

    def report(self, report: Report) -> None:
        """Sends a report by callback, or the last one with the answer that waits for it."""
        if report.address is not None:
            self._courier.send(report)
        elif report.final:
            self._routes.end(report)

    def stopped(self, key: AttemptKey) -> None:
        """Has whoever waits for cancelled work answered."""
        self._courier.forget_progress(key)
        self._routes.stopped(key)

    def changed(self) -> None:
        """Notes that the setup is done."""
        if self._engine.ready:
            self._ready.set()

    async def leave(self) -> None:
        """Deregisters: the gateway sends no more, and lets what is here end."""
        if self._registration is not None:
            try:
                await self._registration.end(_LONGEST_GRACE_S)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("not deregistered: %s", type(error).__name__)

    async def close(self) -> None:
        """Stops listening, and gives up what was not delivered."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._courier.close()
        if self._keys is not None:
            await self._keys.close()
        await self._http.close()

    async def answer(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """Answers a call; when the caller hangs up, whoever awaits this cancels it.

        Args:
            method: The HTTP method.
            path: The path.
            body: The body.
            headers: Those that matter, by their names in lower case.
        """
        match method, path:
            case "GET", "/ready":
                return self._routes.ready()
            case "GET", "/health" if "authorization" not in headers:
                # Anybody may look; a gateway that calls it by a wrong token is to know, though.
                return self._routes.health()
            case ("POST", "/process" | "/cancel") | ("GET", "/health"):
                return await self._answer_gateway(path, body, headers)
        return _NOT_FOUND

    async def _answer_gateway(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answers a call that is the gateway's alone, once it is known who calls."""
        issuer = None
        try:
            if self._callers is not None:
                issuer = await self._callers.issuer(headers.get("authorization"))
        except (UnknownCallerError, NoKeysError) as error:
            _log.info("%s was refused: %s", path, error)
            return refusal(error)
        match path:
            case "/process":
                return await self._routes.process(body, headers, issuer)
            case "/cancel":
                return await self._routes.cancel(body)
            case _:
                return self._routes.health()

    async def _listen(self, host: str) -> None:
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # The gateway hangs up on a synchronous task that was cancelled: the work is to stop.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=_LAST_ANSWERS_S
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, self._place.port).start()
        bound_host, port = self._runner.addresses[0][:2]
        self.url = self.url or f"http://{with_port(bound_host, port)}"

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = await self.answer(request.method, request.path, body, request.headers)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers=answer.headers,
            content_type="application/json",
        )
