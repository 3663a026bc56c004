"""``inferry register`` with a real gateway, and backends that answer well, badly or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import ListServersResponse
from tests.backends import Backend
from tests.cli.play import Play, rpc
from tests.cli.real import Inferry, Ran


def rows(ran: Ran) -> dict[str, str]:
    return dict(line.split("\t") for line in ran.out.splitlines())


async def listed(inferry: Inferry) -> list[str]:
    return [one["name"] for one in (await inferry.json("servers"))["servers"]]


@asynccontextmanager
async def answering(health: web.Response) -> AsyncIterator[str]:
    """A server with one answer to each health check; gives its URL."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=health.status, body=health.body, headers=health.headers)

    app = web.Application()
    app.router.add_get("/health", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_a_healthy_backend_is_registered_with_what_its_health_check_names(
    inferry: Inferry, backend: Backend
) -> None:
    backend.claims = ["video", "audio"]
    ran = await inferry.run("register", f"{backend.url}/")
    shown = rows(ran)
    assert (ran.status, ran.err) == (0, "")
    assert shown.pop("id").startswith("srv_")
    assert shown == {
        "name": backend.url.removeprefix("http://"),
        "url": backend.url,
        "takes": "audio, video",
        "at once": "10",
        "status": "active",
        "load": "cpu 45%, memory 60%, 3 active, 5 queued",
        "health": "healthy",
    }


async def test_what_is_given_counts_and_what_the_health_check_names_besides_is_noted(
    inferry: Inferry, backend: Backend
) -> None:
    backend.claims = ["audio"]
    given = ("--name", "gpu", "--capability", "video", "--max-concurrent", "3")
    ran = await inferry.run("register", backend.url, *given)
    shown = rows(ran)
    assert (ran.status, shown["name"], shown["takes"], shown["at once"]) == (
        *(0, "gpu", "video", "3"),
    )
    assert "note: its health check names audio, which it did not register" in ran.err


async def test_a_backend_that_names_nothing_takes_every_type(
    inferry: Inferry, backend: Backend
) -> None:
    ran = await inferry.run("register", backend.url)
    assert (ran.status, rows(ran)["takes"]) == (0, "every type")


async def test_one_place_under_two_names_is_noted_by_register_and_by_servers(
    inferry: Inferry, backend: Backend
) -> None:
    await inferry.run("register", backend.url, "--name", "one")
    for ran in (
        await inferry.run("register", backend.url, "--name", "two"),
        await inferry.run("servers"),
    ):
        assert ran.status == 0
        assert "too: one process gets the tasks of both" in ran.err


async def test_registering_again_tells_how_it_is_now(inferry: Inferry, backend: Backend) -> None:
    statuses = []
    for healthy in (True, False, True):
        backend.healthy = healthy
        ran = await inferry.run("register", backend.url, "--capability", "video")
        statuses.append((ran.status, rows(ran)["health"]))
    assert statuses == [
        (0, "healthy"),
        (1, "the health check said 'unhealthy', not \"healthy\""),
        (0, "healthy"),
    ]
    assert len(await listed(inferry)) == 1


@pytest.mark.parametrize(
    ("status", "body", "found", "remedy"),
    [
        (404, b"", "answered 404", "give the URL that /health and /process stand right under"),
        (302, b"", "answered 302", "give the URL that it leads to"),
        (401, b"", "answered 401", "it takes the calls of another gateway"),
        (405, b"", "answered 405", "let it answer GET /health"),
        (500, b"", "answered 500", "its own log says why"),
        (200, b"<html>Hello</html>", "said '<html>", 'GET /health answers {"status":"healthy"}'),
        (200, b'{"status":"loading"}', "said 'loading'", "it counts as healthy when"),
    ],
)
async def test_a_wrong_answer_is_shown_with_the_remedy(
    inferry: Inferry, status: int, body: bytes, found: str, remedy: str
) -> None:
    async with answering(web.Response(status=status, body=body)) as url:
        for given in ((), ("--capability", "video")):
            ran = await inferry.run("register", url, *given)
            assert ran.status == 1
            assert remedy in ran.err
            assert found in (rows(ran)["health"] if given else ran.err)
            # Without either nobody knows what it can do: it would get tasks of every type.
            assert len(await listed(inferry)) == len(given) / 2


async def test_where_nobody_listens_the_remedy_says_where_to_listen(
    inferry: Inferry, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    ran = await inferry.run("register", url, "--capability", "video")
    assert ran.status == 1
    assert rows(ran)["health"] == "no connection: Connection refused"
    assert "have it listen where the gateway reaches it" in ran.err
    assert f"`inferry deregister {rows(ran)['id']}` takes it out" in ran.err
    ran = await inferry.run("register", url)
    assert (ran.status, ran.out) == (1, "")
    assert "say what it can do with --capability" in ran.err


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_another_protocol_is_told_from_none(inferry: Inferry, scheme: str) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ran = await inferry.run("register", f"{scheme}://127.0.0.1:{port}", "--capability", "x")
    assert ran.status == 1
    assert "https:// is for where it speaks TLS" in ran.err


async def test_a_drained_server_says_what_ends_that(inferry: Inferry, backend: Backend) -> None:
    server_id = rows(await inferry.run("register", backend.url))["id"]
    await inferry.run("drain", server_id)
    ran = await inferry.run("register", backend.url)
    assert ran.status == 1
    assert f"`inferry resume {server_id}` ends that" in ran.err


async def test_with_json_it_prints_the_server_as_rest_shows_it(
    inferry: Inferry, backend: Backend
) -> None:
    shown = await inferry.json("register", backend.url, "--name", "gpu")
    assert (shown["name"], shown["status"], shown["notes"]) == ("gpu", "active", [])
    assert shown == {**shown, "load": {"cpu": 45, "memory": 60, "activeTasks": 3, "queueLength": 5}}


async def test_a_refusal_is_one_sentence_and_status_5(inferry: Inferry) -> None:
    ran = await inferry.run("register", "http://0.0.0.0:8080", "--capability", "video")
    assert (ran.status, ran.out) == (5, "")
    assert ran.err.startswith("refused: url: http://0.0.0.0:8080 is at an address where no server")


def test_a_name_in_a_note_moves_no_terminal(play: Play) -> None:
    server = Server(id="srv_1", name="gpu", notes=["it names \x1b[2J"])
    play.run("servers")
    play.answer(rpc("ListServers"), ListServersResponse(servers=[server]), object)
    assert play.result().stderr == "note: gpu: it names  [2J\n"
