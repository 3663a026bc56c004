"""Hosts that servers listen on: which addresses they are, and who can reach them."""

import asyncio
import ipaddress
import os
import re
import socket
from contextlib import suppress

#: The name stands for both, whatever a hosts file says (RFC 6761, section 6.3): clients try either.
_LOCALHOST = ("127.0.0.1", "::1")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):(\d{1,5})", re.ASCII)
_LAST_PORT = 65_535


class NoHostError(OSError):
    """A host is none, or none of this machine."""


async def addresses_of(host: str) -> list[str]:
    """Gives the addresses that a host stands for and that this machine has, IPv4 first.

    Args:
        host: An address or a name; empty for every address.

    Raises:
        NoHostError: Nobody knows the host, or this machine has none of its addresses.
    """
    if not host:
        return ["::" if socket.has_dualstack_ipv6() else "0.0.0.0"]  # noqa: S104 - asked for
    if host.lower() == "localhost":
        addresses = list(_LOCALHOST)
    elif _is_address(host):
        # Nobody needs to be asked, and nobody to be waited for.
        addresses = [host]
    else:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
            raise NoHostError(f"cannot listen on {host!r}: {why}") from None
        addresses = [str(address[0]) for *_, address in infos]
    here = [address for address in dict.fromkeys(addresses) if _is_here(address)]
    if not here:
        missing = ", ".join(addresses)
        raise NoHostError(f"cannot listen on {host!r}: this machine has no address {missing}")
    return sorted(here, key=lambda address: ":" in address)


def take_port(address: str, port: int, backlog: int = 1) -> socket.socket:
    """Listens on a port of an address; 0 takes a free one.

    Args:
        address: One of this machine's; ``::`` is every address of both kinds.
        port: The port.
        backlog: Connections that may wait to be accepted.

    Raises:
        OSError: It is taken, or cannot be had.
    """
    try:
        # It has to listen: without that, a second process could bind to the same port.
        return socket.create_server(
            (address, port),
            family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            backlog=backlog,
            dualstack_ipv6=address == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise OSError(f"cannot listen on {with_port(address, port)}: {why}") from error


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a host."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host.lower() == "localhost"


def is_everywhere(host: str) -> bool:
    """Whether a host stands for every address of a machine: to listen on, not to call."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    with suppress(OSError):
        # The resolver takes shorter forms, such as 0.
        return not any(socket.inet_aton(host))
    return not host


def with_port(address: str, port: int) -> str:
    """Writes an address and a port as ``HOST:PORT``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def is_host_port(text: str) -> bool:
    """Whether a text says where to connect to: ``HOST:PORT``, an IPv6 address in brackets."""
    match = _HOST_PORT.fullmatch(text)
    return match is not None and 0 < int(match[1]) <= _LAST_PORT


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _is_here(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
