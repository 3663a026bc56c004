"""One connection to a backend: tells an answer with too large a head from one that is no HTTP.

aiohttp says of a header that is too long how its value begins, and not its name. What it does not
promise: that a ``ResponseHandler`` gets the parts of an answer by these methods.
"""

import re
from asyncio import AbstractEventLoop
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

#: A header of an answer, or its first line. Traces and cookies can be long; nobody reads them here.
MAX_HEADER_BYTES = 64 << 10
MAX_HEADERS = 128

#: aiohttp's words for that.
_TOO_MANY = "Too many headers received"
#: What a name of a header is made of, and as much of it as an error text should have.
_NAME = re.compile(rb"[!#-'*+.^`|~\w-]{1,64}", re.ASCII)


class HeadTooLargeError(aiohttp.ClientError):
    """An answer has too many headers, or one that is too long; the message says which."""


class BackendProtocol(ResponseHandler):
    """A connection that keeps the line that is coming until a head is whole."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        #: What came of a head since its last whole line; None when none is expected.
        self._line: bytes | None = None

    def set_response_params(self, **params: Any) -> None:
        """Gets ready for an answer."""
        self._line = b""
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Takes bytes."""
        if self._line is not None:
            # No copy where a head comes in one piece.
            self._line += data
        super().data_received(data)
        if self._line is not None:
            self._line = self._line.rpartition(b"\n")[2]

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Takes a whole head."""
        self._line = None
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Takes what makes the answer none."""
        if isinstance(exc_cause, LineTooLong):
            exc = HeadTooLargeError(f"{_too_long(self._line)} {MAX_HEADER_BYTES:,} bytes")
        elif isinstance(exc_cause, BadHttpMessage) and exc_cause.message == _TOO_MANY:
            exc = HeadTooLargeError(f"the answer has more than {MAX_HEADERS} headers")
        super().set_exception(exc, exc if exc_cause is None else exc_cause)


def _too_long(head: bytes | None) -> str:
    lines = (head or b"").split(b"\n")
    longest = next((line for line in lines if len(line) > MAX_HEADER_BYTES), b"")
    name = longest.partition(b":")[0]
    which = f"the header {name.decode()}" if _NAME.fullmatch(name) else "a header or the first line"
    return f"{which} of the answer has more than"
