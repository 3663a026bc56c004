"""The channel to the gateway, and the token that opens a stream on it."""

import base64
from dataclasses import dataclass

import grpc
import orjson

from inferry.backend.token import Token

#: A server grants pings that often only to those it was told of: the gateway is.
_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # How long to wait between two streams is for the worker to say.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class Dial:
    """The gateway, and how to reach it."""

    #: ``HOST:PORT`` of its gRPC.
    address: str
    token: Token = None
    #: Whether to use TLS with the system's roots; or credentials.
    tls: bool | grpc.ChannelCredentials = False

    def channel(self) -> grpc.Channel:
        """Makes a channel, which connects when it is used."""
        if self.tls is False:
            return grpc.insecure_channel(self.address, _OPTIONS)
        credentials = grpc.ssl_channel_credentials() if self.tls is True else self.tls
        return grpc.secure_channel(self.address, credentials, _OPTIONS)


def expiry_of(token: str) -> float | None:
    """Reads when a JWT ends, in seconds since 1970; None if it does not say so.

    What it says is not checked: that is for the gateway.
    """
    try:
        middle = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
