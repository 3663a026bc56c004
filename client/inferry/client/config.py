"""Where the gateway is and with what right to go there: arguments, environment, file."""

import os
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from inferry.client.errors import InvalidRequest
from inferry.wire.hosts import is_host_port

#: Gives the token of the next call: anew for each, so that it can be renewed.
TokenSource = Callable[[], str | Awaitable[str]]
#: False, True, or the PEM file of the authorities to trust in place of the machine's.
Tls = bool | str | os.PathLike[str]

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_RETRIES = 5

ADDRESS_VARIABLE = "INFERRY_ADDRESS"
TOKEN_VARIABLE = "INFERRY_TOKEN"  # noqa: S105 - its name
#: Names the settings file; a gateway's settings may stand in it, too.
FILE_VARIABLE = "INFERRY_CONFIG"
#: What a client reads in the settings file.
FILE_SETTINGS = frozenset({"address", "token"})

#: A task with the largest payload and the largest result that any setting of a gateway allows.
_MAX_MESSAGE_BYTES = 129 * 1024 * 1024

#: Of all channels.
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    # The address is the gateway's own: http_proxy is for browsers.
    ("grpc.enable_http_proxy", 0),
    # What is tried again, when and how often is decided here.
    ("grpc.enable_retries", 0),
    # Two minutes, as gRPC has it, is too long for a gateway that starts in one second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A connection that died without a word is noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Clients share no connection: each opens and closes its own.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a client is told."""

    #: ``HOST:PORT`` of the gateway's gRPC.
    address: str
    #: None if there is none.
    token: str | TokenSource | None
    #: None for a channel without encryption.
    credentials: grpc.ChannelCredentials | None
    #: How long an operation may take in all, its repetitions included, in seconds.
    timeout_s: float
    #: How often a call is repeated at most.
    retries: int


def read_settings(
    address: str | None,
    token: str | TokenSource | None,
    tls: Tls,
    timeout_s: float,
    retries: int,
) -> Settings:
    """Takes each setting from its argument, else from the environment, else from the file.

    Raises:
        InvalidRequest: The address or the token is none, or the file cannot be used.
    """
    address = address or os.environ.get(ADDRESS_VARIABLE)
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    file = {} if address and token else _read_file(os.environ.get(FILE_VARIABLE))
    where = address or file.get("address") or DEFAULT_ADDRESS
    if not is_host_port(str(where)):
        raise InvalidRequest(f"address: {where!r}; right is HOST:PORT, such as {DEFAULT_ADDRESS}")
    token = token or file.get("token")
    if not (token is None or callable(token) or _is_token(token)):
        raise InvalidRequest("token: it holds what no token does")
    return Settings(
        address=str(where),
        token=token,
        credentials=_credentials(tls),
        timeout_s=timeout_s,
        retries=retries,
    )


def _is_token(given: object) -> bool:
    return isinstance(given, str) and given.isascii() and given.isprintable()


def _read_file(name: str | None) -> Mapping[str, Any]:
    if not name:
        return {}
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"cannot read the settings file {name}: {error}") from None


def _credentials(tls: Tls) -> grpc.ChannelCredentials | None:
    if isinstance(tls, bool):
        return grpc.ssl_channel_credentials() if tls else None
    try:
        return grpc.ssl_channel_credentials(Path(tls).read_bytes())
    except OSError as error:
        raise InvalidRequest(f"tls: cannot read {tls}: {error.strerror}") from None
