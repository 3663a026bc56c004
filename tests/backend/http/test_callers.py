"""Who calls: the gateway alone, however somebody else tries."""

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inferry.backend import Backend
from inferry.backend.http import Gateway, Place, Server
from inferry.backend.http.callers import LEEWAY_S, TOKEN_LIMIT, Callers, UnknownCallerError
from inferry.backend.http.keys import OLD_S, PAUSE_S, GatewayKeys, NoKeysError
from inferry.backend.testing.http import HttpGateway
from tests.backend.rigs import TYPE, WITHIN_S, Rig, backend, rig

URL = "http://10.0.0.7:8080"
NO_KID, NUMBER = b'{"alg":"EdDSA"}', b'{"alg":"EdDSA","kid":7}'


def segment(text: bytes) -> str:
    """Writes a part of a token."""
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class Hand:
    """A clock that is set by hand."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Door:
    """What a backend asks who calls it."""

    def __init__(self, gateway: HttpGateway, http: aiohttp.ClientSession) -> None:
        gateway.backend_url = URL
        self.gateway = gateway
        self.steady, self.wall = Hand(0), Hand(time.time())
        self.keys = GatewayKeys(http, gateway.url, self.steady)
        self.callers = Callers(self.keys, lambda: f"{URL}/", self.wall)

    async def ask(self, token: str | None = None, **claims: Any) -> str | None:
        """Asks who calls with a token, or with the gateway's that says something else."""
        if token is None:
            return await self.callers.issuer(self.gateway.headers(**claims)["Authorization"])
        return await self.callers.issuer(f"Bearer {token}")

    def token(self, **claims: Any) -> str:
        return self.gateway.headers(**claims)["Authorization"].removeprefix("Bearer ")

    async def renewed(self) -> None:
        """Waits for the keys that are being fetched."""
        if self.keys._fetching is not None:
            await asyncio.wait((self.keys._fetching,))


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with HttpGateway() as gateway, aiohttp.ClientSession() as http:
        door = Door(gateway, http)
        yield door
        await door.keys.close()


async def test_the_gateways_token_tells_the_gateways_url(door: Door) -> None:
    assert await door.ask() == door.gateway.url
    assert await door.callers.issuer(f"bearer  {door.token()}") == door.gateway.url


async def test_the_keys_are_asked_for_once_though_many_call_at_once(door: Door) -> None:
    assert set(await asyncio.gather(*(door.ask() for _ in range(50)))) == {door.gateway.url}
    assert door.gateway.keys_asked == 1


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"aud": "http://10.0.0.8:8080"}, f"is for http://10.0.0.8:8080; the URL here is {URL}"),
        ({"aud": [URL, "http://other"]}, "the token is for"),
        ({"aud": None}, "no claim 'aud'"),
        ({"exp": None}, "no claim 'exp'"),
        ({"exp": "never"}, "its exp no time"),
        ({"exp": True}, "its exp no time"),
        *(({"exp": beyond}, "its exp no time") for beyond in (float("nan"), float("inf"), 10**400)),
        ({"aud": "http://["}, "is for http://[; the URL"),
        ({"aud": "http://10.0.0.7:99999"}, "is for http://10.0.0.7:99999; the URL"),
        ({"aud": "http://xn--/"}, "is for http://xn--/; the URL"),
        ({"aud": "\ud800"}, "is for ?; the URL"),
        ({"exp": 0}, "has expired"),
    ],
)
async def test_a_token_that_says_something_else_is_refused_with_what_is_wrong(
    door: Door, claims: dict[str, Any], says: str
) -> None:
    with pytest.raises(UnknownCallerError) as refused:
        await door.ask(**claims)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("ours", "registered", "same"),
    [
        ("http://127.0.0.1:8080", "http://localhost:8080", True),
        ("http://127.0.0.1:8080/", "http://[::1]:8080", True),
        ("http://Backend.example:80/", "http://backend.example", True),
        ("http://127.0.0.1:8080", "http://localhost:8081", False),
        ("http://127.0.0.1:8080", "https://localhost:8080", False),
        ("http://127.0.0.1:8080", "http://localhost:8080/x", False),
        ("http://10.0.0.7:8080", "http://localhost:8080", False),
    ],
)
async def test_a_url_may_be_written_in_more_than_one_way(
    door: Door, ours: str, registered: str, *, same: bool
) -> None:
    callers = Callers(door.keys, lambda: ours, door.wall)
    authorization = door.gateway.headers(aud=registered)["Authorization"]
    if same:
        assert await callers.issuer(authorization) == door.gateway.url
    else:
        with pytest.raises(UnknownCallerError, match=f"is for {registered}"):
            await callers.issuer(authorization)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"aud": URL, "exp": 2**40}, "no claim 'iss'"),
        ({"aud": URL, "exp": 2**40, "iss": ["x"]}, "iss is no text"),
        ({"aud": URL, "exp": 2**40, "iss": 7}, "iss is no text"),
        ([URL], "signature is wrong"),
    ],
)
async def test_words_that_no_gateway_would_sign_are_refused(
    door: Door, payload: Any, says: str
) -> None:
    assert door.gateway.key is not None
    header = jwt.get_unverified_header(door.token())
    signed = jwt.PyJWS().encode(orjson.dumps(payload), door.gateway.key, "EdDSA", header)
    with pytest.raises(UnknownCallerError) as refused:
        await door.ask(signed)
    assert says in str(refused.value)


async def test_clocks_may_be_a_minute_apart_and_no_more(door: Door) -> None:
    token = door.token(exp=int(door.wall.now_s))
    door.wall.now_s = int(door.wall.now_s) + LEEWAY_S - 1
    assert await door.ask(token)
    # What held a moment ago is known, and is no longer for that.
    door.wall.now_s += 1
    with pytest.raises(UnknownCallerError, match="expired: compare the clocks"):
        await door.ask(token)
    # One that goes after is none the wiser for a token of the future.
    door.wall.now_s -= 3_600
    assert await door.ask(token)


EVIL = segment(orjson.dumps({"iss": "http://evil", "aud": URL, "exp": time.time() + 600}))


def hs256(key: bytes, **header: Any) -> str:
    """Forges a token: HMAC with what everybody knows."""
    head = segment(orjson.dumps({"alg": "HS256", "typ": "JWT", **header}))
    text = f"{head}.{EVIL}"
    return f"{text}.{segment(hmac.digest(key, text.encode(), 'sha256'))}"


async def test_a_forged_algorithm_is_refused(door: Door) -> None:
    await door.ask()
    kid = jwt.get_unverified_header(door.token())["kid"]
    assert door.gateway.key is not None
    raw = door.gateway.key.public_key().public_bytes_raw()
    unsigned = segment(orjson.dumps({"alg": "none", "kid": kid}))
    forged = [
        hs256(raw, kid=kid),
        hs256(kid.encode(), kid=kid),
        hs256(b"", kid=kid, alg="HS512"),
        f"{unsigned}.{EVIL}.",
        f"{unsigned}.{EVIL}.{door.token().split('.')[2]}",
    ]
    for token in forged:
        with pytest.raises(UnknownCallerError, match="signature is wrong"):
            await door.ask(token)


async def test_words_that_were_changed_are_refused(door: Door) -> None:
    head, _, signature = door.token().split(".")
    other = door.token(sub="srv_other").split(".")[1]
    with pytest.raises(UnknownCallerError, match="signature is wrong"):
        await door.ask(f"{head}.{other}.{signature}")


@pytest.mark.parametrize(
    ("authorization", "says"),
    [
        (None, "no token: this backend takes calls of the gateway http://127.0.0.1"),
        ("", "no token"),
        ("Bearer", "no token"),
        ("Bearer ", "no token"),
        ("Basic dXNlcjp3b3Jk", "no token"),
        ("Bearer x", "no well-formed"),
        ("Bearer ..", "no well-formed"),
        ("Bearer é.é.é", "ASCII text"),
        (f"Bearer {'x' * (TOKEN_LIMIT + 1)}", f"{TOKEN_LIMIT} characters at most"),
        (f"Bearer {segment(b'[' * 4_000)}.e30.AA", "no well-formed"),
        (f"Bearer {segment(NO_KID)}.e30.AA", "signed with no key of the gateway"),
        (f"Bearer {segment(NUMBER)}.e30.AA", "no well-formed"),
    ],
)
async def test_what_is_no_token_is_refused_unread(
    door: Door, authorization: str | None, says: str
) -> None:
    await door.ask()
    with pytest.raises(UnknownCallerError) as refused:
        await door.callers.issuer(authorization)
    assert says in str(refused.value)


async def test_another_gateways_token_is_refused(door: Door) -> None:
    async with HttpGateway() as other:
        other.backend_url = URL
        await door.ask()
        door.steady.now_s += PAUSE_S
        with pytest.raises(UnknownCallerError, match="no key of the gateway http"):
            await door.callers.issuer(other.headers()["Authorization"])


async def test_a_new_key_is_found_with_the_first_token_of_it(door: Door) -> None:
    await door.ask()
    door.steady.now_s += PAUSE_S
    door.gateway.key = Ed25519PrivateKey.generate()
    assert await door.ask() == door.gateway.url
    assert door.gateway.keys_asked == 2


async def test_unknown_keys_have_the_gateway_asked_no_more_often_than_a_limit(door: Door) -> None:
    await door.ask()
    stranger = HttpGateway()
    for _ in range(20):
        stranger.key = Ed25519PrivateKey.generate()
        with pytest.raises(NoKeysError, match="was asked for its keys a moment ago") as told:
            await door.callers.issuer(stranger.headers()["Authorization"])
        assert told.value.rest_s == PAUSE_S
    assert door.gateway.keys_asked == 1
    # The gateway itself is not held up by them.
    assert await door.ask() == door.gateway.url


async def test_a_key_that_was_taken_back_holds_no_longer_than_a_while(door: Door) -> None:
    await door.ask()
    old = door.gateway.key
    door.gateway.key = Ed25519PrivateKey.generate()
    door.steady.now_s += OLD_S
    new, door.gateway.key = door.gateway.key, old
    stolen = door.token(sub="srv_1"), door.token(sub="srv_2")
    door.gateway.key = new
    # It asks in the background, and then knows.
    await door.ask(stolen[0])
    await door.renewed()
    door.steady.now_s += PAUSE_S
    with pytest.raises(UnknownCallerError, match="no key of the gateway"):
        await door.ask(stolen[1])


async def test_a_gateway_that_signs_nothing_is_taken_at_its_word_until_it_signs(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    key, door.gateway.key = door.gateway.key, None
    assert await door.callers.issuer(None) is None
    assert "signs no calls: all are taken" in caplog.text
    assert await door.callers.issuer("Basic dXNlcjp3b3Jk") is None
    door.gateway.key = key
    door.steady.now_s += PAUSE_S
    assert await door.ask() is None
    await door.renewed()
    with pytest.raises(UnknownCallerError, match="no token"):
        await door.callers.issuer(None)
    # And back: the first call without a token has it asked.
    door.gateway.key = None
    door.steady.now_s += PAUSE_S
    with pytest.raises(UnknownCallerError, match="no token"):
        await door.callers.issuer(None)
    await door.renewed()
    assert await door.callers.issuer(None) is None


class KeyServer:
    """Answers whatever a gateway should not."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"", dict[str, str]()
        self.url = ""
        self.asked = 0

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def odd() -> AsyncIterator[KeyServer]:
    server = KeyServer()
    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, b"", "it answered 404"),
        (307, b"", "it answered 307"),
        (200, b"", 'it answered no {"keys"'),
        (200, b"[]", 'it answered no {"keys"'),
        (200, b'{"keys":{}}', 'it answered no {"keys"'),
        (200, orjson.dumps({"keys": [{}] * 101}), 'it answered no {"keys"'),
        (200, b'{"keys":[{"kty":"RSA","kid":"a","n":"x","e":"AQAB"}]}', "none of them is a key"),
        (200, b'{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}]}', "Ed25519"),
        (200, b"x" * 70_000, "larger than 65,536 bytes"),
    ],
)
async def test_keys_that_cannot_be_had_let_nobody_in_and_say_why(
    odd: KeyServer, door: Door, status: int, body: bytes, says: str
) -> None:
    odd.status, odd.body = status, body
    if status == 307:
        odd.headers = {"Location": f"{door.gateway.url}/.well-known/jwks.json"}
    async with aiohttp.ClientSession() as http:
        callers = Callers(GatewayKeys(http, odd.url, door.steady), lambda: URL, door.wall)
        for authorization in (None, door.gateway.headers()["Authorization"]):
            with pytest.raises(NoKeysError) as told:
                await callers.issuer(authorization)
            assert says in str(told.value)
            assert f"{odd.url}/.well-known/jwks.json" in str(told.value)
        assert odd.asked == 1


async def test_a_gateway_that_is_away_costs_nobody_who_was_known(
    door: Door, unused_tcp_port: int
) -> None:
    await door.ask()
    door.keys.gateway = f"http://127.0.0.1:{unused_tcp_port}"
    for _ in range(3):
        door.steady.now_s += OLD_S
        assert await door.ask(sub=f"srv_{door.steady.now_s}") == door.gateway.url
        await door.renewed()
    stranger = HttpGateway().headers(aud=URL)["Authorization"]
    with pytest.raises(NoKeysError, match="cannot be had: ClientConnectorError"):
        await door.callers.issuer(stranger)


async def test_who_waits_for_the_keys_and_hangs_up_ends_it_for_nobody_else(door: Door) -> None:
    first = asyncio.create_task(door.ask())
    second = asyncio.create_task(door.ask())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == door.gateway.url


async def call(
    running: Rig, verb: str, path: str, headers: dict[str, str], body: Any = None
) -> tuple[int, dict[str, Any], dict[str, str]]:
    assert isinstance(running.host, Server)
    async with (
        aiohttp.ClientSession() as session,
        session.request(verb, running.host.url + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(), dict(answer.headers)


@pytest.fixture
async def running() -> AsyncIterator[Rig]:
    async with rig("http", backend("loop")) as running:
        yield running


def http(running: Rig) -> HttpGateway:
    assert isinstance(running.gateway, HttpGateway)
    return running.gateway


@pytest.mark.parametrize("path", ["/process", "/cancel"])
async def test_a_stranger_is_refused_and_the_work_not_begun(running: Rig, path: str) -> None:
    job = {"id": "task_1", "type": TYPE, "payload": {"result": 7}, "callback_url": None}
    status, said, headers = await call(running, "POST", path, {}, job)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert said == {
        "status": "error",
        "error": f"no token: this backend takes calls of the gateway {http(running).url} alone",
        "code": "UNAUTHENTICATED",
        # If it was the gateway, all the same, another server may take it.
        "loss": "not_started",
    }


async def test_anybody_may_ask_how_it_is_but_not_by_a_wrong_token(running: Rig) -> None:
    assert (await call(running, "GET", "/ready", {}))[:2] == (200, {"ready": True})
    assert (await call(running, "GET", "/health", {}))[0] == 200
    assert (await call(running, "GET", "/health", http(running).headers()))[0] == 200
    for_another = http(running).headers(aud="http://10.0.0.9")
    status, said, _ = await call(running, "GET", "/health", for_another)
    assert (status, said["error"].split(";")[0]) == (401, "the token is for http://10.0.0.9")


@pytest.mark.parametrize(("verb", "path"), [("GET", "/process"), ("PUT", "/process"), ("GET", "/")])
async def test_no_other_way_leads_past_the_token(running: Rig, verb: str, path: str) -> None:
    job = {"id": "task_1", "type": TYPE, "payload": {"result": 7}, "callback_url": None}
    assert (await call(running, verb, path, {}, job))[0] == 404


@pytest.mark.parametrize(
    "callback_url",
    [
        "http://evil.example/api/tasks/task_1?token=x",
        "{iss}.evil.example/api/tasks/task_1",
        "{iss}@evil.example/api/tasks/task_1",
        "{iss}",
        "//evil.example/",
        " {iss}/api/tasks/task_1",
    ],
)
async def test_a_callback_that_leads_elsewhere_is_refused(running: Rig, callback_url: str) -> None:
    iss = http(running).url
    job = {"id": "task_1", "type": TYPE, "payload": {"result": 7}}
    job["callback_url"] = callback_url.replace("{iss}", iss)
    status, said, _ = await call(running, "POST", "/process", http(running).headers(), job)
    assert (status, said["code"]) == (403, "PERMISSION_DENIED")
    assert said["error"] == f"callback_url: it has to begin with {iss}/, for that gateway calls"


async def test_a_gateway_behind_a_path_gets_its_callbacks_there_alone(running: Rig) -> None:
    headers = http(running).headers(iss=f"{http(running).url}/api/tasks")
    for task_id, path, status in (("task_1", "/api/tasks/task_1/1", 200), ("task_2", "/x", 403)):
        job = {"id": task_id, "type": TYPE, "payload": {}, "callback_url": http(running).url + path}
        assert (await call(running, "POST", "/process", headers, job))[0] == status


async def test_without_keys_it_says_503_and_when_to_come_back(unused_tcp_port: int) -> None:
    app = Backend("test", 1)
    app.task(TYPE)(lambda payload: payload)
    known = Gateway(f"http://127.0.0.1:{unused_tcp_port}", None, register=False)
    host = Server(app, Place("127.0.0.1", 0, None), gateway=known, drain_timeout=0)
    await asyncio.to_thread(host.start)
    try:
        await asyncio.to_thread(host.wait_ready, WITHIN_S)
        status, said, headers = await call(Rig(HttpGateway(), host), "POST", "/cancel", {})
        assert (status, said["code"]) == (503, "UNAVAILABLE")
        assert said["error"].startswith(f"who calls cannot be told: the keys at {known.url}/.well-")
        assert 0 < int(headers["Retry-After"]) <= PAUSE_S
    finally:
        host.hurry()
        await asyncio.to_thread(host.wait, WITHIN_S)


async def test_a_backend_that_others_register_verifies_who_calls_all_the_same() -> None:
    async with HttpGateway() as gateway:
        place, known = Place("127.0.0.1", 0, None), Gateway(gateway.url, None, register=False)
        ready: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(_url: str, server_id: str) -> None:
            loop.call_soon_threadsafe(ready.put_nowait, server_id)

        host = Server(
            backend("loop"),
            place,
            gateway=known,
            drain_timeout=0,
            on_ready=tell,
        )
        await asyncio.to_thread(host.start)
        try:
            async with asyncio.timeout(WITHIN_S):
                assert await ready.get() == ""
            assert gateway.registered.empty()
            running = Rig(gateway, host)
            assert (await call(running, "POST", "/cancel", {}, {"id": "task_1"}))[0] == 401
            signed = gateway.headers(aud=host.url)
            assert (await call(running, "POST", "/cancel", signed, {"id": "task_1"}))[0] == 200
        finally:
            host.hurry()
            await asyncio.to_thread(host.wait, WITHIN_S)
