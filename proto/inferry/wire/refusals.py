"""What the gateway says of an RPC that it refused: ``google.rpc.Status`` in trailing metadata.

``ErrorInfo.reason`` is the code, a ``Struct`` the details, ``RetryInfo`` the time to wait. An error
without an ``ErrorInfo`` was not raised by the gateway but by gRPC: its text is about sockets.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from inferry.wire.errors import FieldError
from inferry.wire.plain import plain_struct

_STATUS = "grpc-status-details-bin"


@dataclass(slots=True)
class Refusal:
    """What the gateway said of its error."""

    #: One word for a program; empty when the error is not the gateway's.
    code: str = ""
    #: What else is known.
    details: dict[str, Any] = field(default_factory=dict)
    #: When to try again, in seconds from now; None when it did not say.
    retry_after_s: float | None = None


def read_refusal(metadata: Iterable[tuple[str, str | bytes]] | None) -> Refusal:
    """Reads what stands in the trailing metadata of a call that failed."""
    refusal = Refusal()
    for key, value in metadata or ():
        if key == _STATUS and isinstance(value, bytes):
            # What cannot be read says nothing.
            with suppress(DecodeError, FieldError):
                _read(Status.FromString(value), refusal)
    return refusal


def _read(status: Status, refusal: Refusal) -> None:
    info, retry, struct = ErrorInfo(), RetryInfo(), Struct()
    for detail in status.details:
        if detail.Unpack(info):
            refusal.code = info.reason
        elif detail.Unpack(struct):
            refusal.details = plain_struct(struct)
        elif detail.Unpack(retry):
            delay = retry.retry_delay
            refusal.retry_after_s = delay.seconds + delay.nanos / 1e9
