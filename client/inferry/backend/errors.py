"""What goes wrong with a task's work, and with a backend as a whole."""

from collections.abc import Mapping
from typing import Any


class TaskError(Exception):
    """The work failed in a way that its author foresaw: raise it from a handler.

    Args:
        code: One word for a program, such as ``INVALID_FORMAT``; 128 characters at most.
        message: One line for a person; 4,096 characters at most.
        retryable: Whether another attempt may do better.
        details: What else is known, an object of JSON.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class TaskTimeout(TaskError):  # noqa: N818 - it is called what the task ends as
    """The work ran out of time by a clock of its own: the task ends as TIMEOUT, not as FAILED."""


class Cancelled(BaseException):
    """Nobody wants the work any more; clean up and let it pass.

    It is no ``Exception``: an ``except Exception`` around the work does not swallow it.
    """


class RegistrationError(Exception):
    """A function cannot be a handler as it was registered; the message says what is right."""


class SetupError(Exception):
    """The backend cannot start: its setup failed; the message says why."""


class RefusedError(Exception):
    """The gateway will not have this backend: trying again would not help."""
