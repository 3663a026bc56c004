"""HTTP to backends: one client with limits and an address guard (design sections 6 and 8).

The guard looks at the address of every socket before it connects, so that no name, no literal and
no second answer of a name server leads elsewhere. The errors tell what the retry rules ask: whether
the request can have reached the backend. Their texts quote neither the request nor the answer, but
for the name of a header.
"""

import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.typedefs import LooseHeaders

from inferry.server.outbound.addresses import AddressRule, allow_private
from inferry.server.outbound.codings import CodingError, coding_of, unpack
from inferry.server.outbound.connector import CONNECTED, BackendConnector
from inferry.server.outbound.errors import AnswerTooLargeError, ConnectError, telling
from inferry.server.outbound.limits import time_limits
from inferry.server.outbound.protocol import MAX_HEADER_BYTES, MAX_HEADERS
from inferry.server.outbound.retry_after import retry_after_s
from inferry.server.outbound.targets import parsed

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
        self._sessions = {
            allowed: new_session(allow_private(private_allowed=allowed))
            for allowed in (False, True)
        }

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
        connected: Callable[[], object] | None = None,
    ) -> Answer:
        """Posts a JSON text and reads the whole answer, all of it within ``timeout_s``.

        ``headers`` are further ones; ``connected`` is told when it is about to be sent.

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
        if connected is None:
            return await self._exchange(session, "POST", url, timeout_s, data, all_headers)
        mark = CONNECTED.set(connected)
        try:
            return await self._exchange(session, "POST", url, timeout_s, data, all_headers)
        finally:
            CONNECTED.reset(mark)

    async def get(
        self,
        url: str,
        *,
        timeout_s: float,
        private_allowed: bool,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Gets a URL, as ``post`` does, but asks again if a connection breaks that was idle."""
        session = self._sessions[private_allowed]
        return await self._exchange(session, "GET", url, timeout_s, headers=headers)

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
        with telling(timeout_s):
            async with session.request(
                method,
                parsed(url),
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=time_limits(timeout_s),
            ) as response:
                body = await self._read(response)
                return Answer(response.status, body, retry_after_s(response.headers))

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


def new_session(allowed: AddressRule) -> aiohttp.ClientSession:
    """Makes a session that connects to addresses that are allowed, and to no proxy."""
    return aiohttp.ClientSession(
        connector=BackendConnector(allowed),
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        # aiohttp would unpack without a limit to the whole.
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
        trust_env=False,
    )
