"""What keeps a request from bringing an answer, and whether it can have reached the other side."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from inferry.server.outbound.codings import CodingError
from inferry.server.outbound.connector import AddressNotAllowedError
from inferry.server.outbound.limits import connect_s
from inferry.server.outbound.protocol import HeadTooLargeError

BAD_URL = "the URL is not one that can be called: http:// or https:// and a host"
#: The parser's own words; what follows them quotes the answer.
_PARSERS_WORDS = re.compile(r"[A-Za-z ]*[A-Za-z]")


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


@contextmanager
def telling(timeout_s: float) -> Iterator[None]:
    """Turns what breaks a request of so long into an ``OutboundError``."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise ConnectError(f"no connection within {connect_s(timeout_s):g} s") from None
    except aiohttp.ClientConnectorError as error:
        raise _connect_error(error) from None
    except aiohttp.InvalidURL:
        raise ConnectError(BAD_URL) from None
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
