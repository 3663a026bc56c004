"""The options before the command: which gateway, and with what right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """Where the gateway is and with what right to go there."""

    #: ``HOST:PORT`` of the gateway's gRPC.
    address: str
    #: None for one that the data directory of a gateway on this machine gives.
    token: str | None
    #: Makes the channel to an address; None for a real one. It is of gRPC, which is not loaded yet.
    open_channel: Callable[[str], Any] | None
