"""HTTP to backends that answer, cut, stall, lie and lead elsewhere: over real sockets."""

import asyncio
import datetime as dt
import gzip
import itertools
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from inferry.server.outbound.addresses import allow_private
from inferry.server.outbound.client import Answer, Outbound
from inferry.server.outbound.connector import BackendConnector
from inferry.server.outbound.errors import (
    AnswerError,
    AnswerTimeoutError,
    AnswerTooLargeError,
    AnswerUnreadableError,
    ConnectError,
    ForbiddenAddressError,
    OutboundError,
)
from inferry.server.outbound.names import Resolver
from inferry.server.outbound.protocol import MAX_HEADER_BYTES

#: Long enough that nobody waits for it.
AMPLE_S = 30.0
#: Short, for those who do.
BRIEF_S = 0.05
LIMIT = 1_000
LONG = b"x" * (MAX_HEADER_BYTES + 1)
BODY = b'{"callback_url":"http://gateway/api/tasks/task_1?token=s3cret"}'


class Talk:
    """One connection to a backend, and the requests on it."""

    def __init__(
        self, backend: "Backend", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._writer = writer

    async def hear(self) -> bytes:
        """Reads a request; its body is what this returns."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self._backend.heads.append(head.decode())
        headers = head.lower().split(b"\r\n")
        length = [int(line[15:]) for line in headers if line.startswith(b"content-length:")]
        return await self._reader.readexactly(length[0] if length else 0)

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Waits until the other side has closed."""
        with suppress(ConnectionError):
            while await self._reader.read(65_536):
                pass

    def reset(self) -> None:
        self._writer.transport.abort()


Conversation = Callable[[Talk], Awaitable[Any]]


class Backend:
    """A server that holds the same conversation with everyone."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.url = ""
        self.heads: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._conversation(Talk(self, reader, writer))
        finally:
            writer.close()


@asynccontextmanager
async def backend(
    conversation: Conversation, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Backend]:
    served = Backend(conversation)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls, backlog=1_024)
    scheme = "https" if tls else "http"
    served.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/process"
    async with server:
        yield served


def answering(answer: bytes, *, times: int = 1) -> Conversation:
    async def conversation(talk: Talk) -> None:
        for _ in range(times):
            await talk.hear()
            await talk.say(answer)

    return conversation


def answer_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    client = Outbound(max_answer_bytes=LIMIT)
    await client.start()
    yield client
    await client.close()


async def post(outbound: Outbound, url: str, timeout_s: float = AMPLE_S) -> Answer:
    return await outbound.post(url, BODY, timeout_s=timeout_s, private_allowed=True)


async def test_a_post_carries_json_and_brings_the_answer(outbound: Outbound) -> None:
    heard: list[bytes] = []

    async def conversation(talk: Talk) -> None:
        heard.append(await talk.hear())
        await talk.say(answer_of(b'{"status":"accepted"}'))

    async with backend(conversation) as served:
        answer = await post(outbound, served.url)
    assert answer == Answer(200, b'{"status":"accepted"}', None)
    assert heard == [BODY]
    head = served.heads[0]
    assert head.startswith("POST /process HTTP/1.1\r\n")
    assert head.count("Content-Type: application/json\r\n") == 1
    assert "Accept-Encoding: identity\r\n" in head


async def test_a_get_has_no_body(outbound: Outbound) -> None:
    async with backend(answering(answer_of(b"{}"))) as served:
        answer = await outbound.get(served.url, timeout_s=AMPLE_S, private_allowed=True)
    assert answer == Answer(200, b"{}", None)
    assert served.heads[0].startswith("GET /process HTTP/1.1\r\n")
    assert "content-" not in served.heads[0].lower()


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "429 Slow", "503 Full"])
async def test_every_status_is_an_answer(outbound: Outbound, status: str) -> None:
    async with backend(answering(answer_of(b"", status=status))) as served:
        assert (await post(outbound, served.url)).status == int(status[:3])


async def test_a_body_beyond_a_mebibyte_arrives_whole(outbound: Outbound) -> None:
    body = b"x" * ((1 << 20) + 1)
    heard: list[bytes] = []

    async def conversation(talk: Talk) -> None:
        heard.append(await talk.hear())
        await talk.say(answer_of(b"{}"))

    async with backend(conversation) as served:
        await outbound.post(served.url, body, timeout_s=AMPLE_S, private_allowed=True)
    assert heard == [body]


async def test_requests_after_each_other_share_a_connection(outbound: Outbound) -> None:
    async with backend(answering(answer_of(b"{}"), times=3)) as served:
        for _ in range(3):
            await post(outbound, served.url)
    assert served.connections == 1


async def test_any_number_of_requests_goes_out_at_once(outbound: Outbound) -> None:
    wanted = 150
    barrier = asyncio.Barrier(wanted)

    async def conversation(talk: Talk) -> None:
        await talk.hear()
        await barrier.wait()
        await talk.say(answer_of(b"{}"))

    async with backend(conversation) as served:
        answers = await asyncio.gather(*(post(outbound, served.url) for _ in range(wanted)))
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
async def test_a_redirect_is_an_answer_and_leads_nowhere(outbound: Outbound, status: str) -> None:
    async with backend(answering(answer_of(b"{}"))) as target:
        answer = answer_of(b"", f"Location: {target.url}", status=status)
        async with backend(answering(answer)) as served:
            assert (await post(outbound, served.url)).status == int(status[:3])
    assert target.connections == 0


async def test_cookies_are_not_kept(outbound: Outbound) -> None:
    answer = answer_of(b"{}", "Set-Cookie: a=b; Path=/")
    async with backend(answering(answer, times=2)) as served:
        await post(outbound, served.url)
        await post(outbound, served.url)
    assert "cookie" not in "".join(served.heads).lower()


async def test_proxies_of_the_environment_are_not_used(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backend(answering(answer_of(b"{}"))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with backend(answering(answer_of(b"{}"))) as served:
            await post(outbound, served.url)
    assert (proxy.connections, served.connections) == (0, 1)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 7"], 7.0),
        (["Retry-After: 0"], 0.0),
        (
            [
                "Date: Tue, 29 Oct 2024 16:56:32 GMT",
                "Retry-After: Tue, 29 Oct 2024 16:57:02 GMT",
            ],
            30.0,
        ),
        (
            [
                "Date: Tue, 29 Oct 2024 16:56:32 GMT",
                "Retry-After: Tue, 29 Oct 2024 16:56:02 GMT",
            ],
            0.0,
        ),
        (
            [
                "Date: Tue, 29 Oct 2024 16:56:32 -0000",
                "Retry-After: Tue, 29 Oct 2024 16:57:02 GMT",
            ],
            None,
        ),
        (["Retry-After: Tue, 29 Oct 2024 16:57:02 GMT"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: -1"], None),
        (["Retry-After: ²"], None),
        (["Retry-After: " + "9" * 5_000], None),
        ([], None),
    ],
)
async def test_retry_after_is_read_in_both_forms(
    outbound: Outbound, headers: list[str], seconds: float | None
) -> None:
    answer = answer_of(b"", *headers, status="503 Full")
    async with backend(answering(answer)) as served:
        assert (await post(outbound, served.url)).retry_after_s == seconds


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nConte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00\xff\x00\xff\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_an_answer_error(
    outbound: Outbound, answer: bytes
) -> None:
    async with backend(answering(answer)) as served:
        with pytest.raises(AnswerError):
            await post(outbound, served.url)
    assert len(served.heads) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad status line"),
        (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "invalid http header"),
    ],
)
async def test_what_is_wrong_with_an_answer_is_said(
    outbound: Outbound, answer: bytes, reason: str
) -> None:
    async with backend(answering(answer)) as served:
        with pytest.raises(AnswerError, match=f"^the answer is not valid HTTP: {reason}$"):
            await post(outbound, served.url)


@pytest.mark.parametrize("piece", [1 << 20, 10_000, 7])
async def test_a_header_of_64_kib_is_taken_in_pieces_of_any_size(
    outbound: Outbound, piece: int
) -> None:
    answer = answer_of(b"{}", f"X-Trace: {'x' * (MAX_HEADER_BYTES - 7)}", "X-Other: 1")

    async def conversation(talk: Talk) -> None:
        for _ in range(2):
            await talk.hear()
            for start in range(0, len(answer), piece):
                await talk.say(answer[start : start + piece])

    async with backend(conversation) as served:
        for _ in range(2):
            assert (await post(outbound, served.url)).body == b"{}"
    assert served.connections == 1


@pytest.mark.parametrize("piece", [1 << 20, 10_000])
@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"A: 1\r\nX-Trace: %b\r\nB: 2" % LONG, "the header X-Trace of the answer has more than"),
        (b"%b: 1" % LONG, "a header or the first line of the answer has more than 65,536 bytes"),
        (b"\r\n".join([b"X: x"] * 129), "the answer has more than 128 headers"),
    ],
)
async def test_an_answer_with_too_large_a_head_is_said_to_have_one(
    outbound: Outbound, head: bytes, error: str, piece: int
) -> None:
    answer = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\n{}" % head

    async def conversation(talk: Talk) -> None:
        await talk.hear()
        for start in range(0, len(answer), piece):
            await talk.say(answer[start : start + piece])

    async with backend(conversation) as served:
        with pytest.raises(AnswerUnreadableError, match=error):
            await post(outbound, served.url)
    assert len(served.heads) == 1


async def test_aiohttp_has_what_the_connector_stands_on() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector()) as session:
        assert isinstance(vars(session.connector)["_factory"](), ResponseHandler)
    for name in ("set_response_params", "data_received", "feed_data", "set_exception"):
        assert callable(getattr(ResponseHandler, name))


async def test_a_reset_is_an_answer_error(outbound: Outbound) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.hear()
        talk.reset()

    async with backend(conversation) as served:
        with pytest.raises(AnswerError, match="broke"):
            await post(outbound, served.url)
    assert len(served.heads) == 1


async def test_a_post_on_a_connection_that_is_dropped_is_not_sent_again(
    outbound: Outbound,
) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.hear()
        await talk.say(answer_of(b"{}"))
        await talk.hear()  # and drops it: nobody can tell whether it ran

    async with backend(conversation) as served:
        await post(outbound, served.url)
        with pytest.raises(AnswerError):
            await post(outbound, served.url)
    assert (served.connections, len(served.heads)) == (1, 2)


async def test_a_connection_that_the_backend_has_closed_is_not_used_again(
    outbound: Outbound,
) -> None:
    async with backend(answering(answer_of(b"{}", "Connection: close"))) as served:
        await post(outbound, served.url)
        await post(outbound, served.url)
    assert served.connections == 2


async def close_after_each_answer(posts: int) -> Backend:
    """Posts to a backend that says nothing of closing, closes after an answer, and counts."""
    outbound = Outbound(max_answer_bytes=LIMIT)
    await outbound.start()
    async with backend(answering(answer_of(b"{}", "Connection: keep-alive"))) as served:
        for _ in range(posts):
            assert (await post(outbound, served.url)).status == 200
    await outbound.close()
    return served


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_a_connection_that_was_closed_while_idle_takes_no_post(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with ThreadPoolExecutor() as thread, asyncio.Runner(loop_factory=loop) as runner:
        served = thread.submit(runner.run, close_after_each_answer(200)).result()
    assert (served.connections, len(served.heads)) == (200, 200)


async def test_of_many_idle_connections_those_that_live_are_used(outbound: Outbound) -> None:
    wanted = 10
    arrivals = itertools.count()
    together = asyncio.Barrier(wanted)

    async def conversation(talk: Talk) -> None:
        arrival = next(arrivals)
        await talk.hear()
        if arrival < wanted:
            await together.wait()
        await talk.say(answer_of(b"{}"))
        if arrival % 2:
            await talk.hear()
            await talk.say(answer_of(b"{}"))

    async with backend(conversation) as served:
        for _ in range(2):
            await asyncio.gather(*(post(outbound, served.url) for _ in range(wanted)))
    assert (served.connections, len(served.heads)) == (wanted * 3 // 2, wanted * 2)


@pytest.mark.parametrize("idle_s", [0, BRIEF_S])
async def test_what_came_unasked_is_not_the_next_answer(outbound: Outbound, idle_s: float) -> None:
    answered, said = asyncio.Event(), asyncio.Event()

    async def conversation(talk: Talk) -> None:
        await talk.hear()
        await talk.say(answer_of(b"wanted"))
        await answered.wait()
        if not said.is_set():
            await talk.say(answer_of(b"unasked"))
            said.set()
        await talk.gone()

    async with backend(conversation) as served:
        await post(outbound, served.url)
        answered.set()
        await said.wait()
        await asyncio.sleep(idle_s)  # after a while it has been read, and waits
        assert (await post(outbound, served.url)).body == b"wanted"
    assert (served.connections, len(served.heads)) == (2, 2)


@pytest.mark.parametrize(("times", "connections"), [(3, 1), (1, 3)])
async def test_a_connection_with_tls_is_used_again_while_it_lives(
    tmp_path: Path, times: int, connections: int
) -> None:
    conversation = answering(answer_of(b"{}"), times=times)
    async with (
        backend(conversation, self_signed(tmp_path)) as served,
        aiohttp.ClientSession(
            connector=BackendConnector(allow_private(private_allowed=True))
        ) as session,
    ):
        for _ in range(3):
            async with session.post(served.url, data=BODY, ssl=False) as response:
                assert await response.read() == b"{}"
    assert (served.connections, len(served.heads)) == (connections, 3)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"],
)
async def test_a_stall_is_a_timeout_and_closes_the_connection(
    outbound: Outbound, beginning: bytes
) -> None:
    closed = asyncio.Event()

    async def conversation(talk: Talk) -> None:
        await talk.hear()
        await talk.say(beginning)
        await talk.gone()
        closed.set()

    async with backend(conversation) as served:
        with pytest.raises(AnswerTimeoutError, match=r"no whole answer within 0\.05 s"):
            await post(outbound, served.url, BRIEF_S)
        await closed.wait()


async def test_interim_answers_do_not_hold_a_request_for_ever(outbound: Outbound) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.hear()
        while True:
            await talk.say(b"HTTP/1.1 102 Processing\r\n\r\n")

    async with backend(conversation) as served:
        with pytest.raises(AnswerTimeoutError):
            await post(outbound, served.url, BRIEF_S)


async def test_an_answer_at_the_limit_is_whole(outbound: Outbound) -> None:
    async with backend(answering(answer_of(b"x" * LIMIT))) as served:
        assert len((await post(outbound, served.url)).body) == LIMIT


async def test_an_answer_that_says_it_is_too_large_is_not_read(outbound: Outbound) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.hear()
        await talk.say(f"HTTP/1.1 200 OK\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode())
        await talk.gone()

    async with backend(conversation) as served:
        with pytest.raises(AnswerTooLargeError, match="more than 1,000 bytes"):
            await post(outbound, served.url)


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Connection: close"])
async def test_an_endless_answer_is_cut_off(outbound: Outbound, framing: str) -> None:
    endless = 100 << 20
    sent = 0
    closed = asyncio.Event()

    async def conversation(talk: Talk) -> None:
        nonlocal sent
        await talk.hear()
        try:
            await talk.say(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
            while sent < endless:
                await talk.say(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                sent += 65_536
        finally:
            closed.set()

    async with backend(conversation) as served:
        with pytest.raises(AnswerTooLargeError):
            await post(outbound, served.url)
        await closed.wait()
    assert sent < endless


def deflated(body: bytes) -> bytes:
    """Deflates without zlib's frame around it, as some servers do."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZip", gzip.compress),
        ("identity, GZIP ,", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", deflated),
    ],
)
async def test_a_packed_answer_is_unpacked(
    outbound: Outbound, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    for body in (b'{"status":"success"}', b"x" * LIMIT):
        answer = answer_of(pack(body), f"Content-Encoding: {coding}")
        async with backend(answering(answer)) as served:
            assert (await post(outbound, served.url)).body == body


@pytest.mark.parametrize("coding", ["Identity", "", "none", "utf-8", "identity, identity", "é"])
async def test_a_coding_that_is_none_is_passed_over(outbound: Outbound, coding: str) -> None:
    answer = answer_of(b"{}", f"Content-Encoding: {coding}")
    async with backend(answering(answer)) as served:
        assert (await post(outbound, served.url)).body == b"{}"


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_an_empty_answer_needs_no_unpacking(outbound: Outbound, coding: str) -> None:
    answer = answer_of(b"", f"Content-Encoding: {coding}", status="204 No Content")
    async with backend(answering(answer)) as served:
        assert (await post(outbound, served.url)).body == b""


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        (["Content-Encoding: br"], b"{}", "Content-Encoding: br; right is none, gzip or deflate"),
        (["Content-Encoding: ZStd"], b"{}", "Content-Encoding: zstd; right is none"),
        (["Content-Encoding: gzip, gzip"], b"{}", "Content-Encoding: gzip, gzip; right is none"),
        (["Content-Encoding: gzip"] * 2, b"{}", "Content-Encoding: gzip, gzip; right is none"),
        (["Content-Encoding: gzip"], b"{}", "Content-Encoding: gzip, and is not"),
        (["Content-Encoding: deflate"], b"\x07", "Content-Encoding: deflate, and is not"),
        (
            ["Content-Encoding: gzip"],
            gzip.compress(b"{}", mtime=0)[:-1],
            "Content-Encoding: gzip, and its end is missing",
        ),
        (["Content-Encoding: deflate"], b"x", "Content-Encoding: deflate, and its end is missing"),
    ],
)
async def test_an_answer_that_cannot_be_unpacked_says_why(
    outbound: Outbound, headers: list[str], body: bytes, error: str
) -> None:
    async with backend(answering(answer_of(body, *headers))) as served:
        with pytest.raises(AnswerUnreadableError, match=error):
            await post(outbound, served.url)


async def test_the_status_of_an_error_counts_though_its_body_cannot_be_unpacked(
    outbound: Outbound,
) -> None:
    headers = ["Content-Encoding: br", "Retry-After: 7"]
    answer = answer_of(b"\x0b\x02", *headers, status="503 Full")
    async with backend(answering(answer)) as served:
        assert await post(outbound, served.url) == Answer(503, b"", 7.0)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, deflated])
async def test_a_bomb_is_cut_at_the_limit(pack: Callable[[bytes], bytes]) -> None:
    limit = 1 << 20
    bomb = pack(b"\0" * (200 << 20))
    assert len(bomb) < limit
    outbound = Outbound(max_answer_bytes=limit)
    await outbound.start()
    coding = "gzip" if pack is gzip.compress else "deflate"
    async with backend(answering(answer_of(bomb, f"Content-Encoding: {coding}"))) as served:
        tracemalloc.start()
        with pytest.raises(AnswerTooLargeError, match="more than 1,048,576 bytes"):
            await post(outbound, served.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    await outbound.close()
    assert peak < 8 * limit


async def test_a_cancelled_request_closes_its_connection(outbound: Outbound) -> None:
    heard, closed = asyncio.Event(), asyncio.Event()

    async def conversation(talk: Talk) -> None:
        await talk.hear()
        heard.set()
        await talk.gone()
        closed.set()

    async with backend(conversation) as served:
        request = asyncio.create_task(post(outbound, served.url))
        await heard.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await closed.wait()


async def test_where_nobody_listens_nothing_was_sent(outbound: Outbound) -> None:
    async with backend(answering(b"")) as served:
        url = served.url
    with pytest.raises(ConnectError, match="Connection refused"):
        await post(outbound, url)


async def test_without_time_nothing_is_sent(outbound: Outbound) -> None:
    async with backend(answering(answer_of(b"{}"))) as served:
        for timeout_s in (0, -1):
            with pytest.raises(ConnectError, match="no time"):
                await post(outbound, served.url, timeout_s)
    assert served.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "process",
        "http://",
        "http:///process",
        "ftp://127.0.0.1/",
        "ws://127.0.0.1/",
        "file:///etc/passwd",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://127.1/",
        "http://2130706433/",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
    ],
)
async def test_what_is_no_url_is_not_called(outbound: Outbound, url: str) -> None:
    for _ in range(2):
        with pytest.raises(ConnectError, match="URL is not one"):
            await post(outbound, url)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "0xa9.0xfea9fe",
    ],
)
async def test_some_literals_are_never_called(outbound: Outbound, host: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        await post(outbound, f"http://{host}/process")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
async def test_private_addresses_are_called_only_where_allowed(
    outbound: Outbound, host: str
) -> None:
    async with backend(answering(answer_of(b"{}"), times=2)) as served:
        url = served.url.replace("127.0.0.1", host)
        assert (await post(outbound, url)).status == 200
        # The connection that is open now must not open this door.
        with pytest.raises(ForbiddenAddressError, match="not allowed"):
            await outbound.post(url, BODY, timeout_s=AMPLE_S, private_allowed=False)
    assert len(served.heads) == 1


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def resolve(_: Any, host: str, port: int = 0, **__: Any) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=0, proto=0, flags=0)
            for address in addresses
        ]

    monkeypatch.setattr(Resolver, "resolve", resolve)


@pytest.mark.parametrize(
    "addresses",
    [
        ["169.254.169.254"],
        ["fe80::1%lo"],
        ["10.0.0.1", "192.168.0.1"],
        ["127.0.0.1", "::1"],
        ["::ffff:7f00:1"],
    ],
)
async def test_a_name_does_not_lead_to_a_forbidden_address(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolve_to(monkeypatch, *addresses)
    with pytest.raises(ForbiddenAddressError):
        await outbound.post(
            "http://backend.example/", BODY, timeout_s=AMPLE_S, private_allowed=False
        )


async def test_of_several_addresses_only_an_allowed_one_is_called(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backend(answering(answer_of(b"{}"))) as served:
        resolve_to(monkeypatch, "169.254.169.254", "127.0.0.1", "fe80::1")
        url = served.url.replace("127.0.0.1", "backend.example")
        assert (await post(outbound, url)).status == 200


async def test_a_name_that_moves_to_a_forbidden_address_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with backend(answering(answer_of(b"{}", "Connection: close"))) as served:
        url = served.url.replace("127.0.0.1", "backend.example")
        for addresses, allowed in ((["127.0.0.1"], True), (["169.254.169.254"], False)):
            resolve_to(monkeypatch, *addresses)
            # A name server's answer is kept for some seconds.
            outbound = Outbound(max_answer_bytes=LIMIT)
            await outbound.start()
            if allowed:
                assert (await post(outbound, url)).status == 200
            else:
                with pytest.raises(ForbiddenAddressError):
                    await post(outbound, url)
            await outbound.close()
    assert served.connections == 1


async def test_a_name_that_nobody_knows_is_a_connect_error(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: Any, **__: Any) -> list[ResolveResult]:
        raise OSError(None, "Name or service not known")

    monkeypatch.setattr(Resolver, "resolve", resolve)
    with pytest.raises(ConnectError, match="does not resolve: Name or service not known"):
        await post(outbound, "http://backend.example/")


async def test_a_name_server_that_stalls_is_a_connect_error(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: Any, **__: Any) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(Resolver, "resolve", resolve)
    with pytest.raises(ConnectError, match="no connection within"):
        await post(outbound, "http://backend.example/", BRIEF_S)


def self_signed(directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "backend")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def test_a_certificate_that_does_not_hold_gets_nothing(
    outbound: Outbound, tmp_path: Path
) -> None:
    async with backend(answering(answer_of(b"{}")), self_signed(tmp_path)) as served:
        with pytest.raises(ConnectError, match="certificate"):
            await post(outbound, served.url)
    assert not served.heads


async def test_https_to_a_port_that_speaks_something_else_is_a_connect_error(
    outbound: Outbound,
) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.say(answer_of(b"{}"))
        await talk.gone()

    async with backend(conversation) as served:
        with pytest.raises(ConnectError, match="no TLS connection"):
            await post(outbound, served.url.replace("http:", "https:"))


async def test_tls_that_stalls_is_a_connect_error(outbound: Outbound) -> None:
    async with backend(Talk.gone) as served:
        with pytest.raises(ConnectError, match=r"no connection within 0\.025 s"):
            await post(outbound, served.url.replace("http:", "https:"), BRIEF_S)


@pytest.mark.parametrize("answer", [b"s3cret", answer_of(b"s3cret")[:-1], answer_of(BODY * 99)])
async def test_errors_quote_neither_request_nor_answer(outbound: Outbound, answer: bytes) -> None:
    async with backend(answering(answer)) as served:
        with pytest.raises(OutboundError) as failure:
            await post(outbound, served.url + "?token=s3cret")
    assert "s3cret" not in str(failure.value)
    assert failure.value.__suppress_context__ or failure.value.__context__ is None
