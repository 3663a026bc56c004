"""gRPC errors -> HTTP errors.

An error that the gateway did not raise says nothing of the request but of sockets: its text stays
here.
"""

from math import ceil

import grpc
import grpc.aio

from inferry.bridge.errors import BridgeError
from inferry.wire.refusals import read_refusal

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


def http_error(error: grpc.aio.AioRpcError) -> BridgeError:
    """Makes the HTTP answer to an RPC that failed."""
    status, code, message = _BY_STATUS.get(error.code(), _UNKNOWN)
    told = read_refusal(error.trailing_metadata())
    if told.code:
        code, message = told.code, error.details() or message
    status = _BY_CODE.get(code, status)
    headers = {}
    if status in {429, 503}:
        headers["Retry-After"] = str(max(1, ceil(told.retry_after_s or 0)))
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    return BridgeError(status, code, message, details=told.details, headers=headers)
