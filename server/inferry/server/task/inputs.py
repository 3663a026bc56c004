"""What can happen to a task: the inputs of the lifecycle. Frozen records, no behaviour.

What each of them does to a task is for ``lifecycle.TRANSITIONS`` and ``lifecycle.apply`` to say.
"""

from dataclasses import dataclass

from inferry.server.task.record import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Claim:
    """A server's slot was given to the task: the next attempt."""

    server_id: str


@dataclass(frozen=True, slots=True)
class Accept:
    """The server took the task."""

    message: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The server reported; None leaves what there is. ``working`` is False while it queues it."""

    progress: float | None = None
    message: str | None = None
    working: bool = True
    #: The attempt may run at least so long from now.
    extend_ms: int = 0


@dataclass(frozen=True, slots=True)
class Misreport:
    """The server reported what cannot be read: that is kept, and nothing else changes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Succeed:
    """The server delivered a result: a JSON text."""

    result: bytes
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Fail:
    """The task failed for good; ``details`` is a JSON object's text."""

    error: str
    code: str
    details: bytes | None = None
    outcome: AttemptOutcome = AttemptOutcome.REJECTED
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Release:
    """The attempt ended without an answer that counts; the task waits for another."""

    reason: str
    outcome: AttemptOutcome
    not_before_ms: int
    #: Whether the attempt counts towards ``max_attempts``.
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    """Its type is paused: the queue wait begins anew instead of ending it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """A timeout ran out."""

    error: str
    code: str = "TIMEOUT"
    details: bytes | None = None
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody who may cancelled it."""

    reason: str = ""
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Retry:
    """Somebody who may wants another round."""


Ending = Succeed | Fail | Expire | Cancel
Input = Claim | Accept | Progress | Misreport | Release | Hold | Retry | Ending
