"""Where a backend may be: the rule of addresses (design section 8). Pure.

It is asked for the address of a socket, not for a URL: whatever a name resolves to, and however an
address is written, this is what is called.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# What clouds serve credentials and control from, besides link-local addresses.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
# Other networks with IPv4 addresses inside, where nobody can tell which: IPv4-compatible and
# IPv4-translated ones, NAT64 of local use, Teredo.
_IPV4_HIDDEN = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32")))
_IPV6_LOOPBACK = IPv6Address("::1")
_IPV6_PUBLIC = IPv6Network("2000::/3")


Network = IPv4Network | IPv6Network
#: Whether the address of a socket may be connected to.
AddressRule = Callable[[str], bool]


def allow_private(*, private_allowed: bool) -> AddressRule:
    """Makes the rule of ``address_allowed``."""
    return partial(address_allowed, private_allowed=private_allowed)


def allow_networks(networks: Sequence[Network]) -> AddressRule:
    """Makes a rule that allows public addresses, and of private ones those in some networks."""

    def allowed(address: str) -> bool:
        if address_allowed(address, private_allowed=False):
            return True
        ip = ip_address(address.partition("%")[0])
        ip = (ip.ipv4_mapped if isinstance(ip, IPv6Address) else None) or ip
        listed = any(ip in network for network in networks)
        return listed and address_allowed(address, private_allowed=True)

    return allowed


# Asked for each new connection, and the addresses are few.
@lru_cache(maxsize=4_096)
def address_allowed(address: str, *, private_allowed: bool) -> bool:
    """Whether a backend may be called at this IP address.

    Never at a link-local, metadata, multicast, unspecified or reserved one, or an IPv6 form of one;
    at a private one (loopback, RFC 1918, RFC 6598, unique local) if ``private_allowed``.
    """
    # A zone (``%eth0``) changes the way to an address, not what it is.
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour
        ip = inside or (IPv4Address(ip.packed[-4:]) if ip in _NAT64 else ip)
    if ip == _IPV6_LOOPBACK:
        return private_allowed
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    if isinstance(ip, IPv4Address):
        this_network = ip.packed[0] == 0
        return not (this_network or ip.is_reserved) and (private_allowed or ip.is_global)
    if any(ip in network for network in _IPV4_HIDDEN):
        return False
    return private_allowed or (ip in _IPV6_PUBLIC and ip.is_global)
