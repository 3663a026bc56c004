"""Calls servers: each at its URL, and by a token that tells it who calls."""

from collections.abc import Callable, Mapping

from inferry.server.access.backend_tokens import BackendTokens
from inferry.server.fleet.record import ServerRecord
from inferry.server.outbound.client import Answer, Outbound


class Caller:
    """Sends what servers are asked; what it raises is that of ``Outbound``.

    No answer leads elsewhere: a redirect is an answer like any other, so that a token reaches only
    whom it is meant for.

    Args:
        outbound: Sends.
        tokens: Makes the tokens; None sends none.
    """

    def __init__(self, outbound: Outbound, tokens: BackendTokens | None) -> None:
        self._outbound = outbound
        self._tokens = tokens

    async def post(
        self,
        server: ServerRecord,
        path: str,
        body: bytes,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        connected: Callable[[], object] | None = None,
    ) -> Answer:
        """Posts a JSON text to a path of a server; see ``Outbound.post``."""
        own = self._headers(server)
        return await self._outbound.post(
            f"{server.url}{path}",
            body,
            timeout_s=timeout_s,
            private_allowed=server.private_allowed,
            headers={**own, **headers} if own and headers else own or headers,
            connected=connected,
        )

    async def get(self, server: ServerRecord, path: str, timeout_s: float) -> Answer:
        """Gets a path of a server; see ``Outbound.get``."""
        return await self._outbound.get(
            f"{server.url}{path}",
            timeout_s=timeout_s,
            private_allowed=server.private_allowed,
            headers=self._headers(server),
        )

    def _headers(self, server: ServerRecord) -> Mapping[str, str] | None:
        return None if self._tokens is None else self._tokens.headers(server.id, server.url)
