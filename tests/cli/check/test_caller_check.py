"""Whether a backend takes work of its gateway alone: half a verification is found out."""

import asyncio
from collections.abc import Callable, Mapping
from secrets import token_bytes
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inferry.backend import Backend as App
from inferry.backend.http import Gateway, Place, Server
from inferry.cli.check.backend import Backend
from inferry.cli.check.callbacks import Callbacks, listening
from inferry.cli.check.finding import Finding, Verdict
from inferry.cli.check.http_checks import check
from inferry.cli.check.work import Patience, Work

SECRET = token_bytes(48)
WORK = Work(b"{}", None, None, Patience(task_s=5, repeated_s=1, listened_s=0.1))


async def found(http: aiohttp.ClientSession, url: str, callbacks: Callbacks) -> dict[str, Finding]:
    return {one.name: one async for one in check(Backend(http, url, callbacks, "t"), WORK)}


def claims_of(token: str, key: jwt.PyJWK, **more: Any) -> Mapping[str, Any]:
    """Reads a token as carefully as is asked for."""
    return dict(jwt.decode(token, key, ["EdDSA"], **more))


def unsigned(token: str, _key: jwt.PyJWK, url: str) -> Mapping[str, Any]:
    options: Any = {"verify_signature": False, "verify_aud": True, "verify_exp": True}
    return dict(jwt.decode(token, options=options, audience=url))


def whoever(token: str, key: jwt.PyJWK, _url: str) -> Mapping[str, Any]:
    return claims_of(token, key, options={"verify_aud": False})


def whenever(token: str, key: jwt.PyJWK, url: str) -> Mapping[str, Any]:
    return claims_of(token, key, audience=url, options={"verify_exp": False})


def carefully(token: str, key: jwt.PyJWK, url: str) -> Mapping[str, Any]:
    return claims_of(token, key, audience=url)


def wherever(token: str, key: jwt.PyJWK, url: str) -> Mapping[str, Any]:
    """Takes any callback URL: all of them begin with nothing."""
    return {**carefully(token, key, url), "iss": ""}


Verify = Callable[[str, jwt.PyJWK, str], Mapping[str, Any]]


@pytest.mark.parametrize(
    ("verify", "seen"),
    [
        (unsigned, "it takes work by a token with another key"),
        (whoever, "it takes work by a token with another backend's URL"),
        (whenever, "it takes work by a token with a time that is long over"),
        (wherever, "it takes a callback URL that is not its gateway's"),
        (carefully, "takes work of its gateway alone"),
    ],
)
async def test_what_a_backend_does_not_verify_is_found(verify: Verify, seen: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        listening("127.0.0.1", 0, None, SECRET) as callbacks,
    ):
        async with http.get(f"{callbacks.url}/.well-known/jwks.json") as answer:
            keys = jwt.PyJWKSet.from_dict(await answer.json())

        async def process(request: web.Request) -> web.Response:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                key = keys[jwt.get_unverified_header(token)["kid"]]
                issuer = verify(token, key, url)["iss"]
            except (jwt.PyJWTError, KeyError):
                return web.json_response({"status": "error", "error": "who?"}, status=401)
            callback = (await request.json())["callback_url"]
            if callback and not callback.startswith(issuer):
                return web.json_response({"status": "error", "error": "where?"}, status=403)
            return web.json_response({"status": "success", "result": 1})

        app = web.Application()
        app.router.add_post("/process", process)
        async with TestServer(app) as server:
            url = str(server.make_url("")).rstrip("/")
            finding = (await found(http, url, callbacks))["caller"]
    verdict = Verdict.PASS if verify is carefully else Verdict.FAIL
    assert (finding.verdict, finding.text) == (verdict, seen)
    assert bool(finding.remedy) == (verdict is Verdict.FAIL)


async def guarded(gateway: str) -> Server:
    app = App("guarded", 4)
    app.task("t")(lambda payload: payload)
    known = Gateway(gateway, None, register=False)
    server = Server(app, Place("127.0.0.1", 0, None), gateway=known, drain_timeout=0)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.wait_ready, 30)
    return server


async def test_a_backend_whose_gateway_is_the_checker_passes() -> None:
    async with (
        aiohttp.ClientSession() as http,
        listening("127.0.0.1", 0, None, SECRET) as callbacks,
    ):
        server = await guarded(callbacks.url)
        try:
            lines = await found(http, f"{server.url}/", callbacks)
        finally:
            server.hurry()
            await asyncio.to_thread(server.wait, 30)
    assert {one.verdict for one in lines.values()} == {Verdict.PASS, Verdict.SKIP}
    assert lines["caller"].text == "takes work of its gateway alone"


async def test_a_checker_with_the_gateways_secret_is_taken_for_the_gateway() -> None:
    async with (
        aiohttp.ClientSession() as http,
        listening("127.0.0.1", 0, None, SECRET) as gateway,
        listening("127.0.0.1", 0, None, SECRET) as checker,
        listening("127.0.0.1", 0, None, SECRET[::-1]) as stranger,
    ):
        server = await guarded(gateway.url)
        try:
            lines = await found(http, server.url, checker)
            assert {one.verdict for one in lines.values()} == {Verdict.PASS, Verdict.SKIP}
            lines = await found(http, server.url, stranger)
        finally:
            server.hurry()
            await asyncio.to_thread(server.wait, 30)
    assert (lines["health"].verdict, lines["caller"].verdict) == (Verdict.FAIL, Verdict.SKIP)
    assert f"or start it with {stranger.url} as its gateway" in lines["health"].remedy
