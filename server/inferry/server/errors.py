"""Every error a caller can get, with its kind and its code (design section 5).

The message says what was wrong and what is right; ``code`` is the word for programs that both
gRPC (``google.rpc.ErrorInfo.reason``) and REST (``code``) carry; ``details`` is a JSON object.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, ClassVar


class Kind(Enum):
    """What to do about an error; whoever brings it to a caller has a status for each."""

    #: The request is wrong in itself.
    INVALID = auto()
    #: Say who you are.
    UNAUTHENTICATED = auto()
    #: Somebody else may.
    FORBIDDEN = auto()
    #: There is no such thing, or no more.
    NOT_FOUND = auto()
    #: The name stands for another thing.
    TAKEN = auto()
    #: Things are not so that it would be possible.
    IMPOSSIBLE_NOW = auto()
    #: Somebody else came in its place.
    SUPERSEDED = auto()
    #: There is too much already: try again later.
    EXHAUSTED = auto()
    #: Try again, here or elsewhere.
    UNAVAILABLE = auto()
    #: A fault of ours.
    INTERNAL = auto()


class InferryError(Exception):
    """Something the caller should know about."""

    kind: ClassVar[Kind] = Kind.INTERNAL
    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.details: Mapping[str, Any] = details


class InvalidPayloadError(InferryError):
    """The request is missing something or has something wrong."""

    kind = Kind.INVALID
    code = "INVALID_PAYLOAD"


class PayloadTooLargeError(InferryError):
    """The request is larger than its limit."""

    kind = Kind.INVALID
    code = "PAYLOAD_TOO_LARGE"


class UnauthenticatedError(InferryError):
    """No token, or none that holds."""

    kind = Kind.UNAUTHENTICATED
    code = "UNAUTHENTICATED"


class PermissionDeniedError(InferryError):
    """The token's role may not do this."""

    kind = Kind.FORBIDDEN
    code = "PERMISSION_DENIED"


class NotOwnerError(InferryError):
    """The server is another replica's by now, which gives it its tasks."""

    kind = Kind.UNAVAILABLE
    code = "NOT_OWNER"


class NotFoundError(InferryError):
    """No such task or server, or not this tenant's."""

    kind = Kind.NOT_FOUND
    code = "NOT_FOUND"


class TaskNotFoundError(NotFoundError):
    """No such task, or another tenant's: nobody can tell the one from the other by the words."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id}")


class ServerNotFoundError(NotFoundError):
    """No such server."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f"no server {server_id}")


class GoneError(InferryError):
    """It was here; its time of retention is over."""

    kind = Kind.NOT_FOUND
    code = "GONE"


class PurgedError(GoneError):
    """A task was here; its time of retention is over. To any other tenant it is "not found"."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id} was kept until its time of retention was over")


class RequestReusedError(InferryError):
    """The request id was used for another request; details carry ``taskId``, what that created."""

    kind = Kind.TAKEN
    code = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str, task_id: str) -> None:
        super().__init__(
            f"the request id (Idempotency-Key) {request_id!r} was used for another request, which "
            f"created task {task_id}; a new request needs a new one",
            taskId=task_id,
        )


class IllegalTransitionError(InferryError):
    """The task's status does not allow this; details carry ``status`` and ``allowed``."""

    kind = Kind.IMPOSSIBLE_NOW
    code = "ILLEGAL_TRANSITION"


class UnfitValueError(InferryError):
    """A JSON value does not fit the form that was asked for.

    Details carry ``taskId`` and ``status``: who watches learns that the task has ended, and how.
    """

    kind = Kind.IMPOSSIBLE_NOW
    code = "VALUE_DOES_NOT_FIT"


class StaleAttemptError(InferryError):
    """The report's attempt has ended; details carry ``attempt`` and ``current``."""

    kind = Kind.IMPOSSIBLE_NOW
    code = "STALE_ATTEMPT"


class NotTheirsError(StaleAttemptError):
    """The attempt is another server's, or none: in words that fit where there is no such task."""

    def __init__(self, task_id: str, attempt: int | None) -> None:
        super().__init__(
            f"task {task_id}: attempt {attempt} is not, or no longer, of who reports on it;"
            " only reports of the open attempt count"
        )


class UnsupportedProtocolError(InferryError):
    """The worker speaks a version of the protocol that this gateway does not."""

    kind = Kind.IMPOSSIBLE_NOW
    code = "UNSUPPORTED_PROTOCOL"


class ReplacedError(InferryError):
    """A newer stream has the worker's name."""

    kind = Kind.SUPERSEDED
    code = "REPLACED"

    def __init__(self, name: str) -> None:
        super().__init__(f"a newer stream has the name {name!r}: two workers need two names")


class QueueFullError(InferryError):
    """The queue is at its limit; try again later."""

    kind = Kind.EXHAUSTED
    code = "RESOURCE_LIMIT"


class TooManyRequestsError(InferryError):
    """The same was asked too often; try again later."""

    kind = Kind.EXHAUSTED
    code = "TOO_MANY_REQUESTS"


class NoOwnTokensError(InferryError):
    """The gateway takes tokens that others make, and can make none."""

    kind = Kind.IMPOSSIBLE_NOW
    code = "NO_OWN_TOKENS"


class LimitError(InferryError):
    """There are as many of them as there may be: drop one first."""

    kind = Kind.EXHAUSTED
    code = "RESOURCE_LIMIT"


class HookNotFoundError(NotFoundError):
    """No such webhook, or another tenant's."""

    def __init__(self, hook_id: str) -> None:
        super().__init__(f"there is no webhook {hook_id}")


class UnavailableError(InferryError):
    """The gateway stops or cannot write; try again elsewhere or later."""

    kind = Kind.UNAVAILABLE
    code = "UNAVAILABLE"
