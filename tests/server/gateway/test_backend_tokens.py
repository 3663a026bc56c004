"""The token of a whole gateway's calls: on each of them, for whoever has its public key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

from inferry.backend import Backend as App
from inferry.backend.http import Gateway as Known
from inferry.backend.http import Place, Server
from inferry.backend.http.keys import PAUSE_S
from inferry.server.access.backend_tokens import TOKEN_S
from inferry.server.clock import SteadyClock, SystemClock
from tests import gateways
from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import Running, running_gateway
from tests.server.replicas.crowd import crowd


async def key_set(url: str) -> dict[str, Any]:
    """Reads the public keys as anybody may: with no token, or a wrong one."""
    async with aiohttp.ClientSession() as http:
        answers = []
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            async with http.get(f"{url}/.well-known/jwks.json", headers=headers) as answer:
                assert (answer.status, answer.content_type) == (200, "application/json")
                answers.append(await answer.json())
    assert answers[0] == answers[1]
    return dict(answers[0])


async def verified(gateway: Running, authorization: str | None, url: str) -> dict[str, Any]:
    """Verifies a token as any library does."""
    scheme, _, token = (authorization or "").partition(" ")
    assert scheme == "Bearer"
    keys = jwt.PyJWKSet.from_dict(await key_set(gateway.url))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, ["EdDSA"], audience=url, issuer=gateway.url)
    assert claims.keys() == {"iss", "aud", "sub", "iat", "exp"}
    return dict(claims)


async def test_each_call_of_a_server_carries_a_token_that_the_public_key_verifies(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    server_id = await gateway.register(backend)
    await gateway.probed(server_id)
    task = await gateway.create()
    await backend.next_job()
    await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    await backend.next_cancel()
    assert backend.authorization.keys() == {"/health", "/process", "/cancel"}
    for authorization in backend.authorization.values():
        assert (await verified(gateway, authorization, backend.url))["sub"] == server_id
    # One token for all of them: what is made once a minute costs a task nothing.
    assert len(set(backend.authorization.values())) == 1


async def test_the_key_set_is_one_that_libraries_read(gateway: Running) -> None:
    (key,) = (await key_set(gateway.url))["keys"]
    told = {name: key[name] for name in ("kty", "crv", "alg", "use")}
    assert told == {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
    assert key.keys() == {"kty", "crv", "alg", "use", "kid", "x"}
    assert jwt.PyJWK(key).algorithm_name == "EdDSA"


async def test_a_gateway_that_sends_no_tokens_has_no_keys(tmp_path: Path, backend: Backend) -> None:
    async with running_gateway(tmp_path, backend_tokens=False) as gateway:
        await gateway.probed(await gateway.register(backend))
        await gateway.create(**{"async": False})
        assert backend.authorization == {"/health": None, "/process": None}
        assert await key_set(gateway.url) == {"keys": []}


async def test_a_redirect_takes_no_token_elsewhere(gateway: Running, backend: Backend) -> None:
    """What redirects is a server that answers wrongly, as it was without tokens."""
    asked: list[str | None] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.Response(status=307, headers={"Location": f"{backend.url}{request.path}"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        server_id = await gateway.register(Backend(url=url))
        server = await gateway.eventually(
            f"/api/servers/{server_id}", lambda server: "lastError" in server
        )
        assert server["lastError"] == "the health check answered 307"
        task = await gateway.create(**{"async": False})
        assert "the server answered 307" in task["error"]
        assert asked
        assert None not in asked
        assert backend.authorization == {}
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("url", ["http://user:word@127.0.0.1:1", "http://user@127.0.0.1:1"])
async def test_a_url_with_credentials_is_refused_so_that_a_call_has_one_authorization(
    gateway: Running, url: str
) -> None:
    said = {"url": url, "name": "backend"}
    status, body = await gateway.call("POST", "/api/servers/register", said)
    assert status == 400
    assert "without user" in body["error"]


async def test_after_a_restart_the_key_is_the_same_and_with_another_secret_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for _ in range(2):
        async with running_gateway(tmp_path) as gateway:
            found.append(await key_set(gateway.url))
    monkeypatch.setattr(gateways, "SECRET", token_urlsafe(48))
    async with running_gateway(tmp_path) as gateway:
        found.append(await key_set(gateway.url))
    assert found[0] == found[1] != found[2]


@asynccontextmanager
async def guarded_backend(gateway: Running, url: str | None = None) -> AsyncIterator[Server]:
    """Runs a backend that takes this gateway's calls alone, and is told that it is at a URL."""
    app = App("guarded", 4)
    app.task("echo")(lambda payload: payload)
    known = Known(gateway.url, None, register=False)
    host = Server(app, Place("127.0.0.1", 0, url), gateway=known, drain_timeout=0)
    await asyncio.to_thread(host.start)
    try:
        await asyncio.to_thread(host.wait_ready, 30)
        yield host
    finally:
        host.hurry()
        await asyncio.to_thread(host.wait, 30)


@pytest.mark.parametrize("path", ["", "/inferry"])
async def test_a_backend_that_verifies_does_its_gateways_work_also_behind_a_path(
    tmp_path: Path, path: str
) -> None:
    async with (
        running_gateway(tmp_path, path=path) as gateway,
        guarded_backend(gateway) as host,
    ):
        server_id = await gateway.register(Backend(url=host.url))
        await gateway.probed(server_id)
        for asynchronous in (True, False):
            task = await gateway.create(payload={"a": 1}, **{"async": asynchronous})
            assert (await gateway.task(task["id"], 20))["result"] == {"a": 1}


async def test_a_backend_that_was_told_another_url_costs_no_task_and_says_what_is_wrong(
    gateway: Running, backend: Backend
) -> None:
    async with guarded_backend(gateway, "http://10.0.0.7:8080") as host:
        assert host.http._runner is not None
        at = f"http://127.0.0.1:{host.http._runner.addresses[0][1]}"
        wrong = await gateway.register(Backend(url=at))
        # Nobody else is there yet: the task comes back, and is not failed for it.
        task = await gateway.create()
        server = await gateway.eventually(
            f"/api/servers/{wrong}", lambda server: "lastError" in server
        )
        assert server["lastError"] == (
            f"the health check answered 401: the token is for {at}; the URL here is "
            "http://10.0.0.7:8080"
        )
        await gateway.register(backend, name="right")
        assert (await gateway.task(task["id"], 20))["status"] == "COMPLETED"


async def test_a_backend_takes_the_calls_of_its_gateway_that_came_back_with_another_secret(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        async with running_gateway(tmp_path, port=unused_tcp_port) as gateway:
            host = await stack.enter_async_context(guarded_backend(gateway))
            await gateway.probed(await gateway.register(Backend(url=host.url)))
            assert (await gateway.create(**{"async": False}))["status"] == "COMPLETED"
        keys = host.http._keys
        assert keys is not None
        before = keys.known
        # It asked for the keys longer ago than a moment.
        keys._asked_s -= PAUSE_S
        monkeypatch.setattr(gateways, "SECRET", token_urlsafe(48))
        async with running_gateway(tmp_path, port=unused_tcp_port) as gateway:
            assert (await gateway.create(**{"async": False}))["status"] == "COMPLETED"
        assert keys.known != before


class Wall(SystemClock):
    """A machine's clock, set by hand."""

    shift_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.shift_ms


async def test_the_tokens_of_a_long_life_are_always_young(tmp_path: Path, backend: Backend) -> None:
    wall = Wall()
    wall.shift_ms = -TOKEN_S * 1_000
    clock = SteadyClock(lambda _by_ms, _ahead_ms: None, wall)
    async with running_gateway(tmp_path, clock, jwt_leeway_ms=600_000) as gateway:
        await gateway.probed(await gateway.register(backend))
        old = backend.authorization["/health"]
        wall.shift_ms = 0
        await gateway.create(**{"async": False})
        assert await verified(gateway, backend.authorization["/process"], backend.url)
        with pytest.raises(jwt.ExpiredSignatureError):
            await verified(gateway, old, backend.url)


async def test_replicas_sign_with_one_key_each_in_its_own_name(
    postgres_url: str, tmp_path: Path
) -> None:
    async with crowd(postgres_url, tmp_path) as many, AsyncExitStack() as stack:
        replicas = [await many.join() for _ in range(2)]
        sets = [await key_set(replica.url) for replica in replicas]
        assert sets[0] == sets[1]
        backends = [await stack.enter_async_context(running_backend()) for _ in range(4)]
        for backend in backends:
            await replicas[0].probed(await replicas[0].register(backend))
        issuers = {issuer(backend.authorization["/health"]) for backend in backends}
        assert issuers == {replica.url for replica in replicas if replica.own()}


def issuer(authorization: str | None) -> str:
    token = str(authorization).removeprefix("Bearer ")
    return str(jwt.decode(token, options={"verify_signature": False})["iss"])
