"""gRPC errors -> HTTP errors.

The server puts a ``google.rpc.Status`` beside its errors: ``ErrorInfo.reason`` is the code, a
``Struct`` the details, ``RetryInfo`` the time to wait. An error without an ``ErrorInfo`` was not
raised by the server but by gRPC: its text is about sockets, not about the request, and stays here.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from inferry.bridge.errors import BridgeError
from inferry.wire.structs import plain_struct

#: gRPC status -> HTTP status, and the code and text for when the server gave none.
_BY_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "INVALID_PAYLOAD", "the request is not valid"),
    grpc.StatusCode.OUT_OF_RANGE: (400, "INVALID_PAYLOAD", "the request is not valid"),
    grpc.StatusCode.UNAUTHENTICATED: (401, "UNAUTHENTICATED", "no token, or none that holds"),
    grpc.StatusCode.PERMISSION_DENIED: (403, "PERMISSION_DENIED", "the token may not do this"),
    grpc.StatusCode.NOT_FOUND: (404, "NOT_FOUND", "there is no such thing"),
    grpc.StatusCode.FAILED_PRECONDITION: (409, "CONFLICT", "not possible as things are"),
    grpc.StatusCode.ALREADY_EXISTS: (409, "CONFLICT", "there is one already"),
    grpc.StatusCode.ABORTED: (409, "CONFLICT", "something else came first; try again"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "RESOURCE_LIMIT", "a limit is reached; try later"),
    grpc.StatusCode.UNAVAILABLE: (503, "UNAVAILABLE", "the gateway cannot be reached; try again"),
    grpc.StatusCode.CANCELLED: (503, "UNAVAILABLE", "the call was broken off; try again"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, "TIMEOUT", "the gateway did not answer in time"),
    grpc.StatusCode.UNIMPLEMENTED: (501, "UNIMPLEMENTED", "the gateway cannot do this"),
}
_UNKNOWN = (500, "INTERNAL_ERROR", "internal error")

#: Codes that say more than their gRPC status.
_BY_CODE = {"PAYLOAD_TOO_LARGE": 413, "GONE": 410, "REQUEST_ID_REUSED": 422}


@dataclass(slots=True)
class _Told:
    """What the server said of its error."""

    code: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    #: Whole seconds to wait, 1 at least.
    retry_after_s: int = 1


def http_error(error: grpc.aio.AioRpcError) -> BridgeError:
    """Makes the HTTP answer to an RPC that failed."""
    status, code, message = _BY_STATUS.get(error.code(), _UNKNOWN)
    told = _told(error)
    if told.code:
        code, message = told.code, error.details() or message
    status = _BY_CODE.get(code, status)
    headers = {}
    if status in {429, 503}:
        headers["Retry-After"] = str(told.retry_after_s)
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    return BridgeError(status, code, message, details=told.details, headers=headers)


def _told(error: grpc.aio.AioRpcError) -> _Told:
    told = _Told()
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            # What cannot be read says nothing.
            with suppress(DecodeError):
                _read(Status.FromString(value), told)
    return told


def _read(status: Status, told: _Told) -> None:
    info, retry, struct = ErrorInfo(), RetryInfo(), Struct()
    for detail in status.details:
        if detail.Unpack(info):
            told.code = info.reason
        elif detail.Unpack(struct):
            told.details = plain_struct(struct)
        elif detail.Unpack(retry):
            delay = retry.retry_delay
            told.retry_after_s = max(1, delay.seconds + (delay.nanos > 0))
