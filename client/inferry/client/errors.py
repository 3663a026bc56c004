"""All that a client raises: one tree, made so that errors survive a pickle.

Catch ``InferryError`` for everything, or the class that says what to do about it. ``code`` is the
word for programs that the gateway, or the backend of a failed task, gave.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from inferry.client.records import TaskState


class InferryError(Exception):
    """Something did not work; the message says what, and what would be right.

    Args:
        message: A sentence for a person.
        code: A word for a program; by default that of the class.
        details: What else is known.
        task: The task that it is about, as it was last seen.
        request_id: The name of the creation that it is about.
    """

    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        details: Mapping[str, Any] | None = None,
        task: TaskState | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        #: One word for a program, such as ``INVALID_PAYLOAD``.
        self.code = code or self.default_code
        #: What else is known.
        self.details: dict[str, Any] = dict(details or {})
        #: The task that it is about, as it was last seen; None if it is about no task.
        self.task = task
        #: The name of the creation that it is about: again with it creates no second task.
        self.request_id = request_id

    def __reduce__(
        self,
    ) -> tuple[Callable[[type["InferryError"], str], "InferryError"], Any, dict[str, Any]]:
        """Tells pickle to make it from its class and message, and then to set all that it has."""
        return _made, (type(self), str(self)), vars(self)


class Unavailable(InferryError):
    """The gateway cannot be reached, or cannot answer now. Try again, here or elsewhere."""

    default_code = "UNAVAILABLE"
    #: In how many seconds to try again; None when nobody can tell.
    retry_after: float | None = None
    #: True when the gateway itself said so: then nothing was done.
    refused: bool = False


class InvalidRequest(InferryError):
    """The request is wrong in itself."""

    default_code = "INVALID_PAYLOAD"


class NotFound(InferryError):
    """There is no such task or server, or it is another tenant's."""

    default_code = "NOT_FOUND"


class Gone(InferryError):
    """The task was there; its time of retention is over."""

    default_code = "GONE"


class Forbidden(InferryError):
    """There is no token, it does not hold, or its role may not do this."""

    default_code = "PERMISSION_DENIED"


class Conflict(InferryError):
    """Things are not so that it would be possible: the task has ended, the name is taken."""

    default_code = "CONFLICT"


class QueueFull(InferryError):
    """Too many tasks wait."""

    default_code = "RESOURCE_LIMIT"
    #: In how many seconds to try again; None when nobody can tell.
    retry_after: float | None = None


class TaskFailed(InferryError):
    """The task ended as FAILED; ``code`` and ``details`` are what its backend said."""


class TaskTimedOut(InferryError):
    """One of the task's clocks ran out."""

    default_code = "TIMEOUT"

    @property
    def phase(self) -> str:
        """Which clock it was: ``queue``, ``attempt``, ``silence`` or ``total``; else empty."""
        return str(self.details.get("phase", ""))


class TaskCancelled(InferryError):
    """The task was cancelled."""

    default_code = "CANCELLED"


class WaitTimedOut(InferryError):
    """The wait took longer than its caller allowed. ``task`` has not ended, or nobody can tell."""

    default_code = "WAIT_TIMED_OUT"


def _made(kind: type[InferryError], message: str) -> InferryError:
    return kind(message)
