"""URLs of webhooks: which can be, and whose slots they use. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from inferry.server.outbound.addresses import Network, allow_networks

_PORTS = {"http": 80, "https": 443}
_RULE = "right is http:// or https:// and a host"


class BadUrlError(ValueError):
    """A URL that cannot be a webhook's; the message says why, and quotes nothing of it."""


def host_of(url: str, networks: Sequence[Network]) -> str:
    """Finds the host and port of a URL.

    Args:
        url: What a user named.
        networks: Private addresses in these are allowed.

    Raises:
        BadUrlError: It can be no webhook's.
    """
    if not url.isprintable() or " " in url:
        raise BadUrlError(_RULE)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadUrlError(_RULE) from None
    if parts.scheme not in _PORTS or not host:
        raise BadUrlError(_RULE)
    if parts.fragment:
        raise BadUrlError("it has a fragment, which no server ever sees")
    if _is_forbidden(host, networks):
        raise BadUrlError(
            "its address is not allowed: private ones are in INFERRY_WEBHOOK_NETWORKS, or in none"
        )
    named = f"[{host}]" if ":" in host else host
    return f"{named}:{port or _PORTS[parts.scheme]}"


def _is_forbidden(host: str, networks: Sequence[Network]) -> bool:
    """Whether a host is an address that is not allowed; what a name leads to shows later."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not allow_networks(networks)(host)
