"""What can happen to a task: the inputs of the lifecycle. Records, no behaviour.

What each of them does to a task is for ``lifecycle.TRANSITIONS`` and ``lifecycle.apply`` to say.
"""

from dataclasses import dataclass
from typing import NamedTuple

from inferry.server.task.record import AttemptOutcome


class Claim(NamedTuple):
    """A server's slot was given to the task: the next attempt."""

    server_id: str


class Accept(NamedTuple):
    """The server took the task."""

    message: str | None = None


class Progress(NamedTuple):
    """The server reported; None leaves what there is. ``working`` is False while it queues it."""

    progress: float | None = None
    message: str | None = None
    working: bool = True
    #: The attempt may run at least so long from now.
    extend_ms: int = 0


class Misreport(NamedTuple):
    """The server reported what cannot be read: that is kept, and nothing else changes."""

    reason: str


class Succeed(NamedTuple):
    """The server delivered a result: a JSON text."""

    result: bytes
    digest: bytes = b""


class Fail(NamedTuple):
    """The task failed for good; ``details`` is a JSON object's text."""

    error: str
    code: str
    details: bytes | None = None
    outcome: AttemptOutcome = AttemptOutcome.REJECTED
    digest: bytes = b""


class Release(NamedTuple):
    """The attempt ended without an answer that counts; the task waits for another."""

    reason: str
    outcome: AttemptOutcome
    not_before_ms: int
    #: Whether the attempt counts towards ``max_attempts``.
    counts: bool = True


class Hold(NamedTuple):
    """Its type is paused: the queue wait begins anew instead of ending it."""

    reason: str


class Expire(NamedTuple):
    """A timeout ran out."""

    error: str
    code: str = "TIMEOUT"
    details: bytes | None = None
    digest: bytes = b""


class Cancel(NamedTuple):
    """Somebody who may cancelled it."""

    reason: str = ""
    digest: bytes = b""


# No named tuple: an empty one counts as nothing.
@dataclass(frozen=True, slots=True)
class Retry:
    """Somebody who may wants another round."""


Ending = Succeed | Fail | Expire | Cancel
Input = Claim | Accept | Progress | Misreport | Release | Hold | Retry | Ending
