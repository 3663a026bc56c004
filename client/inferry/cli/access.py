"""The options before the command: which gateway, and with what right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """Where the gateway is and with what right to go there."""

    #: ``HOST:PORT`` of the gateway's gRPC; None for that of the settings file, or the default.
    address: str | None
    #: None for that of the settings file, or one that a gateway's data directory here gives.
    token: str | None
    #: Opens the channel that the client's settings ask for; None for a real one. Both need gRPC,
    #: which is not loaded yet.
    open_channel: Callable[[Any], Any] | None
