"""The port of REST, on every address of its host: taken before anybody is answered there."""

import socket

from inferry.wire.hosts import addresses_of, take_port

#: Connections that may wait to be accepted.
BACKLOG = 1_024


class Ports:
    """Sockets that listen, one for each address and all on the same port.

    Who connects waits until a bridge serves them.
    """

    def __init__(self, host: str, port: int, sockets: list[socket.socket]) -> None:
        #: The first address, and the port.
        self.address = host, port
        self.sockets = sockets

    def close(self) -> None:
        """Lets go of them; a second time does nothing."""
        for one in self.sockets:
            one.close()


async def take_ports(host: str, port: int) -> Ports:
    """Takes a port on every address of a host; 0 takes a free one.

    Raises:
        OSError: An address cannot be had.
    """
    addresses = await addresses_of(host)
    ports = Ports(addresses[0], port, [])
    try:
        for address in addresses:
            ports.sockets.append(take_port(address, ports.address[1], BACKLOG))
            ports.address = addresses[0], ports.sockets[0].getsockname()[1]
    except OSError:
        ports.close()
        raise
    return ports
