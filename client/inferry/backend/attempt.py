"""One attempt of one task, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from inferry.v1.task_pb2 import Task, TaskUpdate

#: Task and number of an attempt: what all that is said of it carries.
AttemptKey = tuple[str, int]

FINAL = frozenset({Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED})


@dataclass(frozen=True, slots=True)
class Assignment:
    """An attempt to work on."""

    task_id: str
    #: From 1.
    attempt: int
    type: str
    #: The JSON text that the task's creator gave.
    payload: bytes
    #: How long it may run from now.
    timeout_s: float
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Whose it is; empty where the gateway does not say.
    tenant: str = ""
    #: The trace that it belongs to, as W3C's headers have it; empty without one.
    traceparent: str = ""
    tracestate: str = ""

    @property
    def key(self) -> AttemptKey:
        """Names the attempt."""
        return self.task_id, self.attempt


@dataclass(frozen=True, slots=True)
class Report:
    """Something to tell the gateway of an attempt."""

    key: AttemptKey
    update: TaskUpdate
    #: Grows with each report of a backend, beyond its restarts.
    number: int
    #: Where to: a callback URL; empty for the stream that the assignment came by; None if whoever
    #: brought the assignment waits for its end.
    address: str | None = ""

    @property
    def final(self) -> bool:
        """Tells whether it is the last one of its attempt."""
        return self.update.status in FINAL


class Taking(Enum):
    """What became of an assignment that came."""

    TAKEN = auto()
    #: It is here already, or was lately.
    KNOWN = auto()
    #: A newer attempt of its task was here.
    STALE = auto()
    #: There is no room, or the backend is not ready or leaves.
    REFUSED = auto()
