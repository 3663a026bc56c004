"""Errors as they travel: ``google.rpc.Status`` with details (design section 5, AIP-193).

``ErrorInfo`` carries the code as its reason, and those details that are text; a ``Struct`` carries
all details; ``RetryInfo`` when to try again. REST bodies are made from these.
"""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_status import rpc_status

from inferry.server.errors import InferryError, Kind
from inferry.v1.task_service_pb2 import TaskRefusal
from inferry.wire.structs import struct_from

DOMAIN = "inferry"

#: Statuses travel in trailing metadata, which peers refuse beyond 8 KiB: the message is in there
#: twice, once with three bytes for each that is not ASCII, and the details in base64.
MESSAGE_LIMIT = 1_024
DETAILS_LIMIT = 1_024


#: How each kind of error is said in gRPC.
STATUSES: Mapping[Kind, StatusCode] = {
    Kind.INVALID: StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: StatusCode.NOT_FOUND,
    Kind.TAKEN: StatusCode.ALREADY_EXISTS,
    Kind.IMPOSSIBLE_NOW: StatusCode.FAILED_PRECONDITION,
    Kind.SUPERSEDED: StatusCode.ABORTED,
    Kind.EXHAUSTED: StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: StatusCode.UNAVAILABLE,
    Kind.INTERNAL: StatusCode.INTERNAL,
}


def status_of(error: InferryError) -> StatusCode:
    """Tells the status that an error travels with."""
    return STATUSES[error.kind]


def to_status(error: InferryError) -> Status:
    """Makes the status of an error.

    A message beyond ``MESSAGE_LIMIT`` bytes is cut; details beyond ``DETAILS_LIMIT`` are left out.
    """
    info = ErrorInfo(reason=error.code, domain=DOMAIN)
    status = Status(code=status_of(error).value[0], message=_cut(error.message))
    details = details_of(error)
    for key, value in details.fields.items():
        if value.WhichOneof("kind") == "string_value":
            info.metadata[key] = value.string_value
    status.details.append(_packed(info))
    if details.fields:
        status.details.append(_packed(details))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1_000))
        status.details.append(_packed(RetryInfo(retry_delay=delay)))
    return status


def details_of(error: InferryError) -> Struct:
    """Makes the details of an error; none if they would have more than ``DETAILS_LIMIT`` bytes."""
    details = struct_from(error.details)
    return details if details.ByteSize() <= DETAILS_LIMIT else Struct()


def to_refusal(error: InferryError) -> TaskRefusal:
    """Makes what one task of many is refused with: what its own call would have failed with."""
    refusal = TaskRefusal(code=error.code, error=_cut(error.message), details=details_of(error))
    if error.retry_after_s is not None:
        refusal.retry_after_ms = round(error.retry_after_s * 1_000)
    return refusal


def to_grpc(error: InferryError) -> grpc.Status:
    """Makes what ``context.abort_with_status`` takes."""
    return rpc_status.to_status(to_status(error))


def _cut(message: str) -> str:
    return message.encode()[:MESSAGE_LIMIT].decode(errors="ignore")


def _packed(message: Message) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed
