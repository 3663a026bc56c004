"""How long the parts of a request may take."""

import aiohttp

#: What a connection (name, TCP, TLS) may take; never more than half of the request's time.
CONNECT_TIMEOUT_S = 5.0


def time_limits(timeout_s: float) -> aiohttp.ClientTimeout:
    """Gives the limits of a request that may take so long in all."""
    return aiohttp.ClientTimeout(total=timeout_s, connect=connect_s(timeout_s))


def connect_s(timeout_s: float) -> float:
    """Tells how long a connection may take in a request of so long."""
    # Connecting gives up first, so that what times out later has been sent.
    return min(CONNECT_TIMEOUT_S, timeout_s / 2)
