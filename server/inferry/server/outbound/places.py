"""Where URLs lead, before anything is sent there: the guard of each socket has the last word."""

import asyncio
import socket
from ipaddress import ip_address

import yarl

from inferry.server.outbound.names import Resolver

#: How long the addresses of a name are waited for.
_PATIENCE_S = 1.0


class Places:
    """Finds the addresses that URLs lead to."""

    def __init__(self) -> None:
        self._resolver = Resolver()

    async def of_name(self, host: str) -> list[str]:
        """Finds the addresses of a name; none where nobody can tell in time."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await self._resolver.resolve(host, family=socket.AF_UNSPEC)
        except OSError:
            # There is no such name, nobody answers, or not in time.
            return []
        return [one["host"] for one in found]


def literal(url: str) -> str | None:
    """Gives the IP address that a URL names; None if it names something else."""
    host = yarl.URL(url).host or ""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return host
