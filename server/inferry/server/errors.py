"""Every error a caller can get, with its gRPC status and its code (design section 5).

The message says what was wrong and what is right; ``code`` is the word for programs that both
gRPC (``google.rpc.ErrorInfo.reason``) and REST (``code``) carry; ``details`` is a JSON object.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import grpc


class InferryError(Exception):
    """Something the caller should know about."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.details: Mapping[str, Any] = details


class InvalidPayloadError(InferryError):
    """The request is missing something or has something wrong."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    code = "INVALID_PAYLOAD"


class PayloadTooLargeError(InferryError):
    """The request is larger than its limit."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    code = "PAYLOAD_TOO_LARGE"


class UnauthenticatedError(InferryError):
    """No token, or none that holds."""

    status = grpc.StatusCode.UNAUTHENTICATED
    code = "UNAUTHENTICATED"


class PermissionDeniedError(InferryError):
    """The token's role may not do this."""

    status = grpc.StatusCode.PERMISSION_DENIED
    code = "PERMISSION_DENIED"


class NotFoundError(InferryError):
    """No such task or server, or not this tenant's."""

    status = grpc.StatusCode.NOT_FOUND
    code = "NOT_FOUND"


class TaskNotFoundError(NotFoundError):
    """No such task, or another tenant's: nobody can tell the one from the other by the words."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id}")


class GoneError(InferryError):
    """It was here; its time of retention is over."""

    status = grpc.StatusCode.NOT_FOUND
    code = "GONE"


class PurgedError(GoneError):
    """A task was here; its time of retention is over. To any other tenant it is "not found"."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id} was kept until its time of retention was over")


class RequestReusedError(InferryError):
    """The request id was used for another request; details carry ``taskId``, what that created."""

    status = grpc.StatusCode.ALREADY_EXISTS
    code = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str, task_id: str) -> None:
        super().__init__(
            f"the request id (Idempotency-Key) {request_id!r} was used for another request, which "
            f"created task {task_id}; a new request needs a new one",
            taskId=task_id,
        )


class IllegalTransitionError(InferryError):
    """The task's status does not allow this; details carry ``status`` and ``allowed``."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    code = "ILLEGAL_TRANSITION"


class UnfitValueError(InferryError):
    """A JSON value does not fit the form that was asked for; details carry ``taskId``."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    code = "VALUE_DOES_NOT_FIT"


class StaleAttemptError(InferryError):
    """The report's attempt has ended; details carry ``attempt`` and ``current``."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    code = "STALE_ATTEMPT"


class QueueFullError(InferryError):
    """The queue is at its limit; try again later."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    code = "RESOURCE_LIMIT"


class UnavailableError(InferryError):
    """The gateway stops or cannot write; try again elsewhere or later."""

    status = grpc.StatusCode.UNAVAILABLE
    code = "UNAVAILABLE"
