"""What went wrong -> the error to raise."""

from collections.abc import Mapping
from typing import TypeVar

import grpc

from inferry.client import errors
from inferry.client.errors import InferryError, QueueFull, Unavailable
from inferry.client.payloads import value_of
from inferry.client.reading import read
from inferry.client.records import Status, TaskState
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import TaskRefusal
from inferry.wire.plain import plain_struct
from inferry.wire.refusals import read_refusal

Answered = TypeVar("Answered")

_Kind = type[InferryError]
Code = grpc.StatusCode

#: Codes that say more than their gRPC status, and all that an answer in a batch has.
_BY_CODE: Mapping[str, _Kind] = {
    "INVALID_PAYLOAD": errors.InvalidRequest,
    "PAYLOAD_TOO_LARGE": errors.InvalidRequest,
    "UNAUTHENTICATED": errors.Forbidden,
    "PERMISSION_DENIED": errors.Forbidden,
    "NOT_FOUND": errors.NotFound,
    "GONE": errors.Gone,
    "REQUEST_ID_REUSED": errors.Conflict,
    "ILLEGAL_TRANSITION": errors.Conflict,
    "RESOURCE_LIMIT": QueueFull,
    "UNAVAILABLE": Unavailable,
}
_BY_STATUS: Mapping[grpc.StatusCode, _Kind] = {
    Code.INVALID_ARGUMENT: errors.InvalidRequest,
    Code.OUT_OF_RANGE: errors.InvalidRequest,
    Code.UNAUTHENTICATED: errors.Forbidden,
    Code.PERMISSION_DENIED: errors.Forbidden,
    Code.NOT_FOUND: errors.NotFound,
    Code.FAILED_PRECONDITION: errors.Conflict,
    Code.ALREADY_EXISTS: errors.Conflict,
    Code.ABORTED: errors.Conflict,
    Code.RESOURCE_EXHAUSTED: QueueFull,
    Code.UNAVAILABLE: Unavailable,
}
#: What gRPC itself says when a connection broke, whatever the call was about.
_BROKEN = frozenset(
    {Code.UNAVAILABLE, Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED, Code.DEADLINE_EXCEEDED}
)
#: Words of gRPC's, and what they mean to who wants to reach a gateway.
_MEANINGS: Mapping[str, str] = {
    "http1.x server": "HTTP is spoken there, and no gRPC: that has a port of its own",
    "WRONG_VERSION_NUMBER": "no TLS is spoken there",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is none that is trusted",
    "Connection refused": "nobody listens there",
    "Domain name not found": "there is no such host",
}
_BY_END: Mapping[Status, _Kind] = {
    Status.FAILED: errors.TaskFailed,
    Status.TIMEOUT: errors.TaskTimedOut,
    Status.CANCELLED: errors.TaskCancelled,
}


def call_error(call: grpc.Call, address: str, request_id: str | None = None) -> InferryError:
    """Makes the error of a call that failed.

    Args:
        call: The call, which is what gRPC raises.
        address: Where the gateway should be.
        request_id: The name of the creation that it was.
    """
    status, said = call.code(), call.details() or ""
    refusal = read_refusal(call.trailing_metadata())
    if not refusal.code:
        return _no_answer(status, said, address, request_id)
    kind = _BY_CODE.get(refusal.code) or _BY_STATUS.get(status, InferryError)
    error = kind(said, code=refusal.code, details=refusal.details, request_id=request_id)
    return _with_pause(error, refusal.retry_after_s)


def legible(answer: Answered | None, address: str) -> Answered:
    """Gives what was answered.

    Raises:
        InferryError: It is None: so gRPC gives what is no message of its type.
    """
    if answer is None:
        raise odd_error(f"what {address} answered cannot be read")
    return answer


def odd_error(text: str) -> InferryError:
    """Makes the error of an answer that a gateway of this version does not give."""
    return InferryError(f"{text}: is it a gateway that answers?", code="INVALID_ANSWER")


def cut_error(address: str) -> Unavailable:
    """Makes the error of a stream that has no end of its own: somebody on the way made one."""
    return _unreachable(address, "it ended the stream", None)


def refusal_error(refusal: TaskRefusal, request_id: str) -> InferryError:
    """Makes the error of one creation of a batch."""
    kind = _BY_CODE.get(refusal.code, InferryError)
    details = plain_struct(refusal.details)
    error = kind(refusal.error, code=refusal.code, details=details, request_id=request_id)
    pause_s = refusal.retry_after_ms / 1_000 if refusal.HasField("retry_after_ms") else None
    return _with_pause(error, pause_s)


def end_error(task: Task) -> InferryError | None:
    """Makes the error of a task that has ended without a result; None if it has one."""
    if task.status == Task.COMPLETED:
        return None
    state = read(TaskState, task)
    said = f": {state.error}" if state.error else ""
    return _BY_END[state.status](
        f"{state.id} {state.status}{said}",
        code=state.code,
        details=value_of(task.details_json),
        task=state,
    )


def _no_answer(
    status: grpc.StatusCode, said: str, address: str, request_id: str | None
) -> InferryError:
    """Makes the error of a call that no gateway answered."""
    if status is Code.UNIMPLEMENTED:
        return InferryError(
            f"the gateway at {address} cannot do this: it is older than this client ({said})",
            code="UNIMPLEMENTED",
        )
    if status is Code.DEADLINE_EXCEEDED:
        text = f"the gateway at {address} did not answer in time"
        return Unavailable(text, code="TIMEOUT", request_id=request_id)
    if status in _BROKEN:
        return _unreachable(address, said, request_id)
    # gRPC refuses a message that is too large in the words of a limit.
    kind = errors.InvalidRequest if status is Code.RESOURCE_EXHAUSTED else _BY_STATUS.get(status)
    return (kind or InferryError)(said, code=status.name, request_id=request_id)


def _unreachable(address: str, said: str, request_id: str | None) -> Unavailable:
    why = next((meaning for words, meaning in _MEANINGS.items() if words in said), said)
    text = f"cannot reach the gateway at {address} ({why}): does `inferry serve` run there?"
    return Unavailable(text, request_id=request_id)


def _with_pause(error: InferryError, pause_s: float | None) -> InferryError:
    if isinstance(error, Unavailable):
        error.refused = True
    if isinstance(error, Unavailable | QueueFull):
        error.retry_after = pause_s
    return error
