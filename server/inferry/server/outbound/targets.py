"""URLs that others name."""

from functools import lru_cache

import yarl

from inferry.server.outbound.errors import BAD_URL, ConnectError


@lru_cache(maxsize=10_000)
def parsed(url: str) -> yarl.URL:
    """Reads a URL.

    Raises:
        ConnectError: It is none that can be called.
    """
    try:
        found = yarl.URL(url)
        # What a name goes through when it is resolved; there, nobody would expect it to fail.
        (found.raw_host or "").encode("idna")
    except ValueError:
        raise ConnectError(BAD_URL) from None
    if found.scheme not in ("http", "https"):
        raise ConnectError(BAD_URL)
    return found
