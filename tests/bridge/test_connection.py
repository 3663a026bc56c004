import asyncio
import inspect

import orjson
import pytest
from aiohttp import StreamReader, http_writer, web

from inferry.v1.task_service_pb2 import WatchTaskResponse
from tests.bridge.upstream import Client, running_bridge

GET = b"GET /docs HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /docs HTTP/1.1\r\nHost: a\r\n"])
async def test_a_request_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    async with running_bridge(header_timeout_ms=20) as client:
        assert await client.raw(sent) == b""


async def test_a_second_request_that_does_not_come_is_not_waited_for() -> None:
    async with running_bridge(header_timeout_ms=20) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(GET)
        await reader.readuntil(b"</html>\n")
        writer.write(GET[:9])
        assert await reader.read() == b""
        writer.close()


async def test_a_request_after_another_has_its_own_time() -> None:
    async with running_bridge() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        for part in (GET, GET[:9], GET[9:]):
            writer.write(part)
            if part != GET[:9]:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r")[0]))
        writer.close()


async def test_a_connection_that_is_idle_is_closed() -> None:
    async with running_bridge(keepalive_timeout_ms=20) as client:
        assert (await client.raw(GET)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("head", [b"", b"GET /docs HTTP/1.1\r\nHost: a\r\nX: "])
async def test_who_is_refused_before_the_end_gets_the_answer(client: Client, head: bytes) -> None:
    # More than the sockets between hold: it is still being sent when the answer comes.
    answer = await client.raw(head + b"x" * (8 << 20))
    assert answer.split()[1] in {b"400", b"431"}
    assert answer.count(b"X-Request-ID: ") == 1


SECRET = b"?token=1.srv_1.secret"


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "no HTTP/1.1"),
        (b"GET /docs HTTP/1.1\r\n\r\n", 400, "no HTTP/1.1: Missing 'Host' header in request"),
        (b"GET /docs HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Duplicate 'Host' header"),
        (b"GET /docs HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, "no HTTP/1.1: "),
        (b"GET /docs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "no HTTP/1.1: "),
        (b"GET /\xff%b HTTP/1.1\r\nHost: a\r\n\r\n" % SECRET, 400, "no HTTP/1.1"),
        (b"GET http://%b HTTP/1.1\r\nHost: a\r\n\r\n" % SECRET, 400, "no HTTP/1.1"),
        (b"GET /%b HTTP/1.9\r\nHost: a\r\n\r\n" % SECRET, 400, "no HTTP/1.1"),
        (
            b"GET /docs HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 17_000),
            431,
            "the first line or a header has more than 16,384 bytes",
        ),
        (
            b"GET /%b%b HTTP/1.1\r\nHost: a\r\n\r\n" % (SECRET, b"x" * 17_000),
            431,
            "the first line or a header has more than 16,384 bytes",
        ),
        (
            b"GET /docs HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"X: x\r\n" * 200),
            431,
            "the request has more than 128 headers",
        ),
        (b"GET /docs HTTP/2.0\r\nHost: a\r\n\r\n", 400, "no HTTP/1.1"),
        (b"GET /docs\r\n\r\n", 400, "no HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "no HTTP/1.1"),
    ],
)
async def test_what_is_no_http_is_answered_with_the_error_body(
    client: Client, sent: bytes, status: int, error: str
) -> None:
    head, _, body = (await client.raw(sent)).partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    said = orjson.loads(body)
    assert said.keys() == {"status", "error", "code", "details"}
    assert error in said["error"]
    assert "secret" not in said["error"]
    assert b"\r\nX-Request-ID: " in head


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /docs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"HEAD /docs HTTP/1.0\r\n\r\n",
        b"OPTIONS /docs HTTP/1.0\r\n\r\n",
        b"GET /nothing HTTP/1.0\r\n\r\n",
        b"GET /api/tasks/1/events HTTP/1.0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_no_answer_tells_what_it_was_made_with(client: Client, sent: bytes) -> None:
    client.upstream.events.put_nowait(WatchTaskResponse())
    client.upstream.events.put_nowait(None)
    head = (await client.raw(sent)).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.")
    assert b"\r\nserver:" not in head
    assert b"aiohttp" not in head
    assert b"python" not in head


def test_aiohttp_has_what_connections_stand_on() -> None:
    private = {"_waiter", "_request_count", "_messages", "_task_handler"}
    assert private <= set(web.RequestHandler.__slots__)
    for method in ("connection_made", "data_received", "connection_lost", "close", "force_close"):
        assert callable(getattr(web.RequestHandler, method))
    handled = inspect.signature(web.RequestHandler.handle_error).parameters
    assert list(handled) == ["self", "request", "status", "exc", "message"]
    finished = inspect.signature(web.RequestHandler.finish_response).parameters
    assert list(finished) == ["self", "request", "resp", "start_time"]
    assert inspect.iscoroutinefunction(web.BaseRequest._prepare_hook)
    assert http_writer.StreamWriter.output_size == 0
    assert callable(StreamReader.read_nowait)
