"""HTTP to backends: one client with limits and an address guard (design sections 6 and 8).

The guard looks at the address of every socket before it connects, so that no name, no literal and
no second answer of a name server leads elsewhere. The errors tell what the retry rules ask: whether
the request can have reached the backend. Their texts quote neither the request nor the answer, but
for the name of a header.
"""

import io
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import aiohttp
import yarl
from aiohttp.typedefs import LooseHeaders

from inferry.server.outbound.codings import CodingError, coding_of, unpack
from inferry.server.outbound.connector import AddressNotAllowedError, BackendConnector
from inferry.server.outbound.protocol import MAX_HEADER_BYTES, MAX_HEADERS, HeadTooLargeError
from inferry.server.outbound.retry_after import retry_after_s

#: What a connection (name, TCP, TLS) may take; never more than half of the request's time.
CONNECT_TIMEOUT_S = 5.0

# A larger body goes out in pieces, so that it does not hold up the loop.
_ONE_PIECE_BYTES = 1 << 20
_HEADERS = {
    "Accept": "application/json",
    # What is small on the wire stays small.
    "Accept-Encoding": "identity",
    "User-Agent": "inferry",
}
_POST_HEADERS = {"Content-Type": "application/json"}
_FIRST_ERROR = 400
#: The parser's own words; what follows them quotes the answer.
_PARSERS_WORDS = re.compile(r"[A-Za-z ]*[A-Za-z]")
_BAD_URL = "the URL is not one that can be called: http:// or https:// and a host"


class OutboundError(Exception):
    """A request brought no answer; the message says why."""


class ConnectError(OutboundError):
    """There was no connection: nothing was sent."""


class ForbiddenAddressError(ConnectError):
    """The URL leads only to addresses that are not allowed: nothing was sent."""


class AnswerError(OutboundError):
    """The request was sent, and no whole answer came back."""


class AnswerTooLargeError(OutboundError):
    """The request was sent, and the answer is larger than its limit."""


class AnswerUnreadableError(OutboundError):
    """The request was sent, and the answer is of a kind that is not read here.

    It is the server's way to answer: sent again, the request would bring the same.
    """


class AnswerTimeoutError(OutboundError):
    """The request was sent, and the answer was not there in time."""


class Answer(NamedTuple):
    """A whole answer, whatever its status."""

    status: int
    body: bytes
    #: What ``Retry-After`` says, 0 or more; None without one.
    retry_after_s: float | None


class Outbound:
    """The HTTP client: no redirects, proxies or cookies, and a POST is sent once.

    Connections are not limited here: the slots of the servers bound them.

    Args:
        max_answer_bytes: Larger answers are cut off.
    """

    def __init__(self, max_answer_bytes: int) -> None:
        self._max_answer_bytes = max_answer_bytes
        # By whether private addresses are allowed: what may be connected to may not be shared.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def start(self) -> None:
        """Makes ready."""
        self._sessions = {allowed: _session(private_allowed=allowed) for allowed in (False, True)}

    async def close(self) -> None:
        """Closes all connections."""
        for session in self._sessions.values():
            await session.close()

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        timeout_s: float,
        private_allowed: bool,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Posts a JSON text and reads the whole answer, all of it within ``timeout_s``.

        ``headers`` are further ones.

        Raises:
            ConnectError: Nothing was sent.
            AnswerError: It was sent, and no whole answer came back.
            AnswerTooLargeError: It was sent, and the answer is too large.
            AnswerUnreadableError: It was sent, and the answer has a header that is too long, or a
                body that cannot be unpacked.
            AnswerTimeoutError: It was sent, and the answer was not there in time.
        """
        data = body if len(body) <= _ONE_PIECE_BYTES else io.BytesIO(body)
        session = self._sessions[private_allowed]
        all_headers = {**_POST_HEADERS, **headers} if headers else _POST_HEADERS
        return await self._exchange(session, "POST", url, timeout_s, data, all_headers)

    async def get(self, url: str, *, timeout_s: float, private_allowed: bool) -> Answer:
        """Gets a URL, as ``post`` does, but asks again if a connection breaks that was idle."""
        return await self._exchange(self._sessions[private_allowed], "GET", url, timeout_s)

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        timeout_s: float,
        data: bytes | io.BytesIO | None = None,
        headers: LooseHeaders | None = None,
    ) -> Answer:
        if timeout_s <= 0:
            # To aiohttp that would mean: as long as it takes.
            raise ConnectError("no time is left to send the request")
        # Connecting gives up first, so that what times out later has been sent.
        connect_s = min(CONNECT_TIMEOUT_S, timeout_s / 2)
        try:
            async with session.request(
                method,
                _parsed(url),
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=connect_s),
            ) as response:
                body = await self._read(response)
                return Answer(response.status, body, retry_after_s(response.headers))
        except aiohttp.ConnectionTimeoutError:
            raise ConnectError(f"no connection within {connect_s:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise _connect_error(error) from None
        except aiohttp.InvalidURL:
            raise ConnectError(_BAD_URL) from None
        except TimeoutError:
            raise AnswerTimeoutError(f"no whole answer within {timeout_s:g} s") from None
        except (HeadTooLargeError, CodingError) as error:
            raise AnswerUnreadableError(str(error)) from None
        except aiohttp.ClientResponseError as error:
            words = _PARSERS_WORDS.match(error.message)
            reason = f": {words[0].lower()}" if words else ""
            raise AnswerError(f"the answer is not valid HTTP{reason}") from None
        except (aiohttp.ClientError, OSError):
            raise AnswerError("the connection broke before the whole answer was there") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = await self._read_packed(response)
        if not body or "Content-Encoding" not in response.headers:
            return body
        try:
            coding = coding_of(response.headers.getall("Content-Encoding"))
            body = unpack(body, coding, self._max_answer_bytes) if coding else body
        except CodingError:
            if response.status >= _FIRST_ERROR:
                # What it means for the task is in the status: 503 leads to another server.
                return b""
            raise
        if len(body) > self._max_answer_bytes:
            raise self._too_large()
        return body

    async def _read_packed(self, response: aiohttp.ClientResponse) -> bytes:
        content = response.content
        pieces: list[bytes] = []
        room = self._max_answer_bytes
        fits = (response.content_length or 0) <= room
        while fits:
            if content.at_eof():
                return b"".join(pieces)
            pieces.append(await content.readany())
            room -= len(pieces[-1])
            fits = room >= 0
        raise self._too_large()

    def _too_large(self) -> AnswerTooLargeError:
        return AnswerTooLargeError(f"the answer has more than {self._max_answer_bytes:,} bytes")


def _session(*, private_allowed: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=BackendConnector(private_allowed=private_allowed),
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        # aiohttp would unpack without a limit to the whole.
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
        trust_env=False,
    )


@lru_cache(maxsize=10_000)
def _parsed(url: str) -> yarl.URL:
    try:
        parsed = yarl.URL(url)
        # What a name goes through when it is resolved; there, nobody would expect it to fail.
        (parsed.raw_host or "").encode("idna")
    except ValueError:
        raise ConnectError(_BAD_URL) from None
    if parsed.scheme not in ("http", "https"):
        raise ConnectError(_BAD_URL)
    return parsed


def _connect_error(error: aiohttp.ClientConnectorError) -> ConnectError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ConnectError("the backend's TLS certificate does not hold")
    cause = error.os_error
    if isinstance(cause, AddressNotAllowedError):
        return ForbiddenAddressError("the URL leads to an address that is not allowed")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectError(f"the name does not resolve: {cause.strerror or cause}")
    if isinstance(error, aiohttp.ClientSSLError):
        return ConnectError(f"no TLS connection: {cause.strerror or cause}")
    return ConnectError(f"no connection: {os.strerror(cause.errno) if cause.errno else cause}")
