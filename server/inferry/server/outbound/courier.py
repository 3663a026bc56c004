"""POSTs to whomever users name: only to addresses that are allowed, and little is read of answers.

What counts is the status. A receiver may answer with anything: of its body the beginning is read,
and the connection is closed if there is more.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import aiohttp

from inferry.server.outbound.addresses import Network, allow_networks
from inferry.server.outbound.client import new_session
from inferry.server.outbound.errors import telling
from inferry.server.outbound.limits import time_limits
from inferry.server.outbound.retry_after import retry_after_s
from inferry.server.outbound.targets import parsed

#: What is read of an answer.
READ_BYTES = 1_024


class Receipt(NamedTuple):
    """An answer."""

    status: int
    #: Its beginning.
    body: bytes
    #: What ``Retry-After`` says, 0 or more; None without one.
    retry_after_s: float | None


class Courier:
    """The HTTP client for what users want to be sent: no redirects, proxies or cookies.

    Args:
        networks: Private addresses in these are allowed; public ones always are.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._allowed = allow_networks(networks)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Makes ready."""
        self._session = new_session(self._allowed)

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Receipt:
        """Posts a JSON text once; all of it within ``timeout_s``.

        Raises:
            OutboundError: There was no answer; the message says why, and nothing of the URL.
        """
        if self._session is None:
            raise RuntimeError("it was not started")
        with telling(timeout_s):
            async with self._session.post(
                parsed(url),
                data=body,
                headers={"Content-Type": "application/json", **headers},
                allow_redirects=False,
                timeout=time_limits(timeout_s),
            ) as response:
                # What it is packed with matters to nobody: no more of it is kept than this.
                begins = await response.content.read(READ_BYTES)
                return Receipt(response.status, begins, retry_after_s(response.headers))
