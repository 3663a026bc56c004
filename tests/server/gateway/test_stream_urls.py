"""Stream URLs of a whole gateway: what one opens, for whom, for how long, and nothing else."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import jwt
import orjson
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc import StatusCode

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.server.access.tokens import Role
from inferry.server.clock import SteadyClock, SystemClock
from inferry.v1.task_service_pb2 import CreateStreamUrlRequest, GetTaskRequest, WatchTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.backends import ACCEPTED, Backend
from tests.gateways import SECRET, Running, running_gateway, token
from tests.server.replicas.crowd import Crowd, crowd

HOUR_MS = 3_600_000


class Wall(SystemClock):
    """The machine's clock, set forward by hand."""

    shift_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.shift_ms


async def url_of(
    gateway: Running, task_id: str, auth: str | None = None, **body: object
) -> dict[str, Any]:
    path = f"/api/tasks/{task_id}/stream-url"
    status, made = await gateway.call("POST", path, body, auth)
    assert status == 200, made
    return dict(made)


async def opened(
    gateway: Running, url: str, verb: str = "GET", **headers: str
) -> tuple[int, Any, str]:
    """Opens a URL as a browser does, without a token: status, headers and the whole text."""
    async with gateway.http.request(verb, url, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


def events_in(text: str) -> list[dict[str, Any]]:
    return [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def ticket_in(url: str) -> str:
    return parse_qs(urlsplit(url).query)["ticket"][0]


async def ended_task(gateway: Running) -> str:
    """Creates a task with two events, and so a stream that ends."""
    task = await gateway.create()
    status, _ = await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    assert status == 200
    return str(task["id"])


async def test_it_shows_the_task_s_events_to_their_end_to_who_has_no_token(
    tmp_path: Path, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    async with running_gateway(tmp_path) as gateway:
        await gateway.register(backend)
        task = await gateway.create()
        url = (await url_of(gateway, task["id"]))["url"]
        assert url.startswith(f"{gateway.url}/api/tasks/{task['id']}/events?ticket=")
        async with gateway.http.get(url) as stream:
            assert stream.status == 200
            job = await backend.next_job()
            await backend.report(job, status="COMPLETED", result={"answer": 42})
            events = events_in(await stream.text())
        assert [event["seq"] for event in events if event["kind"] != "QUEUED"] == [1, 2, 3, 4]
        assert events[-1]["task"]["result"] == {"answer": 42}
        assert "payload" not in events[-1]["task"]


async def test_who_lost_the_stream_goes_on_after_the_last_event(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        url = (await url_of(gateway, await ended_task(gateway)))["url"]
        _, _, text = await opened(gateway, url, **{"Last-Event-ID": "1"})
        assert [event["seq"] for event in events_in(text)] == [2]
        _, _, text = await opened(gateway, f"{url}&after=1")
        assert [event["seq"] for event in events_in(text)] == [2]
        # An EventSource asks no more after that.
        assert (await opened(gateway, url, **{"Last-Event-ID": "2"}))[0] == 204


async def test_it_holds_for_a_quarter_of_an_hour_unless_it_is_said(tmp_path: Path) -> None:
    wall = Wall()
    clock = SteadyClock(lambda _by_ms, _ahead_ms: None, wall)
    async with running_gateway(tmp_path, clock=clock) as gateway:
        task = await ended_task(gateway)
        usual, short = await url_of(gateway, task), await url_of(gateway, task, ttl=60_000)
        wall.shift_ms = 50_000
        assert (await opened(gateway, short["url"]))[0] == 200
        wall.shift_ms = 61_000
        status, _, text = await opened(gateway, short["url"])
        assert status == 401
        assert "has expired: ask for a new one" in text
        wall.shift_ms = 890_000
        assert (await opened(gateway, usual["url"]))[0] == 200
        wall.shift_ms = 901_000
        assert (await opened(gateway, usual["url"]))[0] == 401


@pytest.mark.parametrize("ttl", [999, HOUR_MS + 1, "soon"])
async def test_a_time_beyond_its_bounds_is_refused(tmp_path: Path, ttl: object) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await gateway.create()
        path = f"/api/tasks/{task['id']}/stream-url"
        status, body = await gateway.call("POST", path, {"ttl": ttl})
        assert (status, body["details"]) == (400, {"field": "ttl"})


async def test_a_stream_that_runs_ends_with_its_url_and_says_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await gateway.create()
        url = (await url_of(gateway, task["id"], ttl=1_000))["url"]
        status, _, text = await opened(gateway, url)
        assert status == 200
        assert "event: created" in text
        last = text.strip().split("\n\n")[-1]
        assert last.startswith("event: error\n")
        assert "has expired" in events_in(last)[0]["error"]
        # What was watched with a token goes on: the task has not ended.
        assert (await gateway.task(task["id"]))["status"] == "PENDING"


async def test_it_holds_no_longer_than_the_token_of_who_asked(tmp_path: Path) -> None:
    exp = int(time.time()) + 120
    auth = jwt.encode({"sub": "ada", "role": "admin", "exp": exp}, SECRET, "HS256")
    async with running_gateway(tmp_path, jwt_leeway_ms=0) as gateway:
        made = await url_of(gateway, await ended_task(gateway), auth, ttl=HOUR_MS)
        assert ticket_in(made["url"]).partition(".")[0] == f"{exp}000"


async def test_one_that_is_forged_or_of_another_task_is_told_apart_from_no_token(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        one, other = await ended_task(gateway), await ended_task(gateway)
        url = (await url_of(gateway, one))["url"]
        for wrong in (url.replace(one, other), f"{url}A", url.replace("ticket=", "ticket=1")):
            status, _, text = await opened(gateway, wrong)
            assert (status, orjson.loads(text)["code"]) == (401, "UNAUTHENTICATED")
            assert "not for this task, or this gateway did not make it" in text
            assert ticket_in(url).partition(".")[2] not in text
        for none in (url.partition("?")[0], f"{url.partition('?')[0]}?ticket="):
            status, _, text = await opened(gateway, none)
            assert status == 401
            assert "send a token" in text


async def test_its_ticket_opens_nothing_else(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await ended_task(gateway)
        ticket = ticket_in((await url_of(gateway, task))["url"])
        for verb, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/attempts"),
            ("GET", "/explain"),
            ("POST", "/retry"),
            ("POST", "/stream-url"),
        ):
            url = f"{gateway.url}/api/tasks/{task}{path}?ticket={ticket}"
            assert (await opened(gateway, url, verb))[0] in (400, 401)
            assert (
                await opened(gateway, url.partition("?")[0], verb, Authorization=f"Bearer {ticket}")
            )[0] == 401
        status, _, _ = await opened(gateway, f"{gateway.url}/api/watch?ids={task}&ticket={ticket}")
        assert status in (400, 401)


async def test_the_ticket_decides_whatever_header_comes_with_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await ended_task(gateway)
        url = (await url_of(gateway, task))["url"]
        for header in ("Bearer of-another-service", "Basic YTpi"):
            assert (await opened(gateway, url, Authorization=header))[0] == 200
        good = f"Bearer {token()}"
        assert (await opened(gateway, f"{url}A", Authorization=good))[0] == 401


async def test_it_is_for_who_may_see_the_task(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await gateway.create()
        path = f"/api/tasks/{task['id']}/stream-url"
        for auth, wanted in (
            (token(Role.CLIENT), 200),
            (token(Role.CLIENT, tenant="another"), 404),
            (token(Role.BACKEND), 403),
            ("", 401),
        ):
            assert (await gateway.call("POST", path, {}, auth))[0] == wanted
        other = path.replace(task["id"], "task_01HK153X00PYXZ6CXT0BGWJ8MG")
        assert (await gateway.call("POST", other, {}))[0] == 404


async def test_pages_of_any_origin_may_read_it_and_it_alone(tmp_path: Path) -> None:
    origin = {"Origin": "https://shop.example"}
    allow = "Access-Control-Allow-Origin"
    async with running_gateway(tmp_path) as gateway:
        task = await ended_task(gateway)
        url = (await url_of(gateway, task))["url"]
        for asked, verb in (
            (url, "GET"),
            (f"{url}&after=2", "GET"),
            (f"{url}A", "GET"),
            (url, "OPTIONS"),
        ):
            _, headers, _ = await opened(gateway, asked, verb, **origin)
            assert headers[allow] == "*"
            assert "Access-Control-Allow-Credentials" not in headers
        _, headers, _ = await opened(gateway, url, "OPTIONS", **origin)
        assert "Last-Event-ID" in headers["Access-Control-Allow-Headers"]
        bare, query = url.split("?")
        for asked in (
            bare,
            f"{bare}?ticket=",
            f"{bare.removesuffix('/events')}?{query}",
            f"{gateway.url}/api/watch?{query}",
            f"{bare.removesuffix('/events')}/explain?{query}",
        ):
            for verb in ("GET", "OPTIONS"):
                _, headers, _ = await opened(gateway, asked, verb, **origin)
                assert allow not in headers


async def test_its_ticket_stands_in_no_log(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        async with running_gateway(tmp_path, log_level="debug") as gateway:
            task = await ended_task(gateway)
            url = (await url_of(gateway, task))["url"]
            for asked in (url, f"{url}A", f"{url}&after=x", f"{url}&unknown=1"):
                await opened(gateway, asked)
            await opened(gateway, url, "POST")
    lines = repr(logged)
    assert f"/api/tasks/{task}/events" in lines
    assert ticket_in(url).partition(".")[2] not in lines


async def test_over_grpc_a_ticket_goes_for_a_token_there_alone(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel,
    ):
        task, stub = await ended_task(gateway), TaskServiceStub(channel)
        made = await stub.CreateStreamUrl(
            CreateStreamUrlRequest(id=task), metadata=(("authorization", f"Bearer {token()}"),)
        )
        ticket = ticket_in(made.url)
        watch = WatchTaskRequest(id=task, ticket=ticket)
        for metadata in ((), (("authorization", "Bearer nonsense"),)):
            seen = [one.event.seq async for one in stub.WatchTask(watch, metadata=metadata)]
            assert seen == [1, 2]
        for refused in (
            stub.WatchTask(WatchTaskRequest(id=task)),
            stub.WatchTask(WatchTaskRequest(id=task, ticket=f"{ticket}A")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await refused.read()
            assert error.value.code() is StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.GetTask(
                GetTaskRequest(id=task), metadata=(("authorization", f"Bearer {ticket}"),)
            )
        assert error.value.code() is StatusCode.UNAUTHENTICATED


async def test_over_grpc_a_stranger_s_request_is_small(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel,
    ):
        large = WatchTaskRequest(id="x" * 5_000, ticket="y")
        with pytest.raises(grpc.aio.AioRpcError, match="the limit is 4096"):
            await TaskServiceStub(channel).WatchTask(large).read()


async def test_a_bridge_in_front_of_a_gateway_s_grpc_opens_it_and_hears_of_its_end(
    tmp_path: Path,
) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel,
    ):
        bridge = Bridge(channel, BridgeConfig(port=0))
        host, port = await bridge.start()
        try:
            task = await gateway.create()
            url = (await url_of(gateway, task["id"], ttl=1_000))["url"]
            status, headers, text = await opened(
                gateway, url.replace(gateway.url, f"http://{host}:{port}")
            )
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
            assert "event: created" in text
            assert "has expired" in text.partition("event: error")[2]
        finally:
            await bridge.stop(0.1)


async def test_where_others_sign_tokens_it_is_made_all_the_same(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    said = {"sub": "ada", "role": "client", "exp": int(time.time()) + 600}
    auth = jwt.encode(said, key, "EdDSA")
    async with running_gateway(tmp_path / "data", jwt_public_key=pem) as gateway:
        status, task = await gateway.call("POST", "/api/tasks", {"type": "echo"}, auth)
        assert status == 202
        await gateway.call("DELETE", f"/api/tasks/{task['id']}", auth=auth)
        made = await url_of(gateway, task["id"], auth)
        assert (await opened(gateway, made["url"]))[0] == 200


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


async def test_one_of_a_replica_is_opened_at_another(many: Crowd) -> None:
    first, second = await many.join(), await many.join()
    task = await ended_task(first)
    url = (await url_of(first, task))["url"]
    status, _, text = await opened(second, url.replace(first.url, second.url))
    assert status == 200
    assert [event["seq"] for event in events_in(text)] == [1, 2]
