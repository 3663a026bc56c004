"""The SDK for those who write backends: one handler, whichever way its work comes.

``inferry.backend.http`` serves a backend over HTTP, ``inferry.backend.grpc`` connects one to the
gateway; what is here knows of neither.
"""

from inferry.backend.app import Backend
from inferry.backend.context import TaskContext
from inferry.backend.errors import (
    Cancelled,
    RefusedError,
    RegistrationError,
    SetupError,
    TaskError,
    TaskTimeout,
)

__all__ = [
    "Backend",
    "Cancelled",
    "RefusedError",
    "RegistrationError",
    "SetupError",
    "TaskContext",
    "TaskError",
    "TaskTimeout",
]
