"""The options before the command: which gateway, and with what right."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True)
class Access:
    """Where the gateway is and with what right to go there."""

    #: ``HOST:PORT`` of the gateway's gRPC.
    address: str
    #: None for one that the data directory of a gateway on this machine gives.
    token: str | None
    #: Makes the channel to an address; None for a real one.
    open_channel: Callable[[str], grpc.Channel] | None
