"""A gateway of tests over HTTP: it registers backends, calls them and takes callbacks."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

import aiohttp
import jwt
import orjson
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inferry.backend.attempt import Assignment
from inferry.backend.testing.gateway import Gateway, Sent
from inferry.wire.words import read_words

_WITHIN = aiohttp.ClientTimeout(total=60)
_REFUSED = 400
_TOKEN_S = 300


class RefusedError(Exception):
    """The backend did not take an attempt.

    Args:
        status: Of HTTP.
        body: What it said.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


class HttpGateway(Gateway):
    """A gateway in this process; use it with ``async with``."""

    def __init__(self) -> None:
        super().__init__()
        #: REST of it, once it runs.
        self.url = ""
        #: Statuses and bodies of the next answers to callbacks; 200 and ``{}`` after those.
        #: A status of 0 hangs up without an answer.
        self.answers: deque[tuple[int, dict[str, Any]]] = deque()
        #: What backends said of themselves when they registered.
        self.registered: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        #: Statuses of the next answers to registrations; 200 after those.
        self.registrations: deque[int] = deque()
        #: Statuses of the next answers to signs of life; 200 after those.
        self.heartbeats: deque[int] = deque()
        #: The path of each deregistration.
        self.deregistered: asyncio.Queue[str] = asyncio.Queue()
        #: Where attempts are sent to; a registration sets it.
        self.backend_url = ""
        #: What its calls are signed with; None signs none.
        self.key: Ed25519PrivateKey | None = Ed25519PrivateKey.generate()
        #: How often its public key was asked for.
        self.keys_asked = 0
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Starts to listen on a free port of this machine."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_get("/health", self._answer_health)
        app.router.add_get("/.well-known/jwks.json", self._answer_keys)
        app.router.add_post("/api/servers/register", self._register)
        app.router.add_post("/api/servers/{id}/heartbeat", self._answer_heartbeat)
        app.router.add_delete("/api/servers/{id}", self._deregister)
        app.router.add_put("/api/tasks/{id}/{attempt}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._http = aiohttp.ClientSession(timeout=_WITHIN)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops."""
        await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def begin(self, sent: Sent) -> None:
        """Sends an attempt.

        Raises:
            RefusedError: The backend did not take it.
        """
        await self.send_again(sent)

    async def send_again(self, sent: Sent) -> None:
        """Sends an attempt once more; see ``Gateway.send_again``."""
        task_id, attempt = sent.key
        url = f"{self.url}/api/tasks/{task_id}/{attempt}"
        trace = {"traceparent": sent.assignment.traceparent}
        headers = trace if trace["traceparent"] else {}
        await self.call("/process", body(sent.assignment, url), headers)

    async def cancel(self, sent: Sent) -> None:
        """Tells the backend to stop an attempt, and waits until it has."""
        task_id, attempt = sent.key
        await self.call("/cancel", {"id": task_id, "attempt": attempt})
        sent.stopped.set()

    async def call(
        self, path: str, said: Any, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Calls the backend; gives its answer.

        Raises:
            RefusedError: Its status is none of success.
        """
        data, url = orjson.dumps(said), f"{self.backend_url}{path}"
        signed = {**self.headers(), **(headers or {})}
        async with self._http.post(url, data=data, headers=signed) as answer:
            text = orjson.loads(await answer.read())
            if answer.status >= _REFUSED:
                raise RefusedError(answer.status, text)
            return dict(text)

    def headers(self, **claims: Any) -> dict[str, str]:
        """Makes the header that says who calls the backend; ``claims`` are put over the usual."""
        if self.key is None:
            return {}
        now_s = int(time.time())
        usual = {"iss": self.url, "aud": self.backend_url, "sub": "srv_test", "iat": now_s}
        said = {**usual, "exp": now_s + _TOKEN_S, **claims}
        token = jwt.encode(said, self.key, algorithm="EdDSA", headers={"kid": _public(self.key)})
        return {"Authorization": f"Bearer {token}"}

    async def _answer_keys(self, _request: web.Request) -> web.Response:
        self.keys_asked += 1
        x = _public(self.key) if self.key else ""
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": x, "x": x}
        return web.json_response({"keys": [key] if x else []})

    async def _answer_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"})

    async def _answer_heartbeat(self, _request: web.Request) -> web.Response:
        status = self.heartbeats.popleft() if self.heartbeats else 200
        return web.json_response({"id": "srv_test"}, status=status)

    async def _register(self, request: web.Request) -> web.Response:
        said = await request.json()
        status = self.registrations.popleft() if self.registrations else 200
        if status < _REFUSED:
            self.backend_url = said["url"]
        self.registered.put_nowait(said)
        return web.json_response({"id": "srv_test", "status": "active"}, status=status)

    async def _deregister(self, request: web.Request) -> web.Response:
        self.deregistered.put_nowait(request.path_qs)
        return web.json_response({})

    async def _take(self, request: web.Request) -> web.StreamResponse:
        text = await request.read()
        status, said = self.answers.popleft() if self.answers else (200, {})
        if status == 0 and request.transport is not None:
            request.transport.abort()
        if status < _REFUSED and status:
            key = request.match_info["id"], int(request.match_info["attempt"])
            self.sent[key].note(read_words(text).update)
        return web.json_response(said, status=status or 200)


def _public(key: Ed25519PrivateKey) -> str:
    return urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")


def body(assignment: Assignment, callback_url: str | None) -> dict[str, Any]:
    """Writes the body of ``POST /process``."""
    return {
        "id": assignment.task_id,
        "type": assignment.type,
        "payload": orjson.Fragment(assignment.payload),
        "callback_url": callback_url,
        "timeout": round(1_000 * assignment.timeout_s),
        "attempt": assignment.attempt,
    }
