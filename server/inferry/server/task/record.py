"""What the gateway knows of a task: records that never change (design sections 1 and 4).

Named tuples: frozen dataclasses take three times as long to make and to copy with a change, and
these are made for each step of each task.

Times are milliseconds since 1970-01-01 UTC. JSON travels as the bytes of its text: the core
never looks inside.
"""

from enum import IntEnum
from typing import NamedTuple

#: The number of the first status that only a retry can change.
_FIRST_FINAL = 3


class Status(IntEnum):
    """Where a task stands; numbered as ``inferry.v1.Task.Status``."""

    PENDING = 1
    PROCESSING = 2
    COMPLETED = 3
    FAILED = 4
    TIMEOUT = 5
    CANCELLED = 6

    def __init__(self, number: int) -> None:
        # Said once: it is asked for some twenty times on the way of each task.
        #: Whether only a retry can change it.
        self.final = number >= _FIRST_FINAL


#: For errors about what is none of them.
STATUS_WORDS = ", ".join(status.name for status in Status)


class EventKind(IntEnum):
    """What happened; numbered as ``inferry.v1.TaskEvent.Kind``."""

    CREATED = 1
    DISPATCHED = 2
    ACCEPTED = 3
    PROGRESSED = 4
    REQUEUED = 5
    FINISHED = 6
    RETRIED = 7
    LATE_RESULT = 8
    #: Its type is paused: its queue wait began anew.
    HELD = 10
    #: What the server reported was refused: it could not be read.
    MISREPORTED = 12


class AttemptOutcome(IntEnum):
    """How an attempt ended; numbered as ``inferry.v1.Attempt.Outcome``."""

    RUNNING = 1
    SUCCEEDED = 2
    REJECTED = 3
    REFUSED = 4
    AMBIGUOUS = 5
    TIMED_OUT = 6
    ABORTED = 7
    #: The server died with it.
    LOST = 8


#: The labels of most tasks.
NO_LABELS = b"{}"


class TaskSpec(NamedTuple):
    """What its creator said; never changes."""

    #: ``task_`` and a ULID.
    id: str
    #: Whose it is; part of every look-up.
    tenant: str
    #: What kind of work.
    type: str
    #: What the server must be capable of besides the type; sorted.
    capabilities: tuple[str, ...]
    #: The creator's own words, a JSON object of strings.
    labels: bytes
    #: False when the creator waits in its own call.
    asynchronous: bool
    #: 0 (last) to 9 (first).
    priority: int
    #: How long one attempt may run.
    timeout_ms: int
    #: How long it may wait for a server.
    queue_timeout_ms: int
    #: How long its server may say nothing of it; 0 for ever.
    silence_timeout_ms: int
    #: From creation, delay or retry to a final status, at most.
    total_timeout_ms: int
    #: How long it is kept once final; 0 for its status' default.
    result_ttl_ms: int
    #: Attempts at most.
    max_attempts: int
    #: Whether a second run does no harm.
    idempotent: bool
    #: When it was created.
    created_ms: int
    #: The trace that it belongs to, as W3C has it; empty without one.
    traceparent: str = ""
    #: What goes with that.
    tracestate: str = ""
    #: What a webhook of its own hears of, see ``hook.HookEvent``; 0 without one.
    webhook_events: int = 0


class TaskRecord(NamedTuple):
    """A task as it is now. It *waits* when PENDING without a server."""

    spec: TaskSpec
    status: Status
    #: Sequence number of its last event.
    seq: int
    #: When it last changed.
    updated_ms: int
    #: Not dispatched before this; 0 for at once.
    not_before_ms: int
    #: When its total time ends, counted from creation, delay or retry.
    total_deadline_ms: int
    #: When it times out, the nearest of those in ``deadlines``. 0 once final.
    deadline_ms: int
    #: Since when it waits for its turn: creation, delay, retry or the end of an attempt that ran.
    queued_ms: int
    #: Number of the latest attempt; 0 before the first.
    attempt: int = 0
    #: Attempts that count towards ``max_attempts``.
    attempts_counted: int = 0
    #: Server of the open attempt, and of the last one once final; None while it waits.
    server_id: str | None = None
    #: When the latest attempt began; 0 before the first.
    started_ms: int = 0
    #: When the open attempt has to end; 0 without one.
    attempt_deadline_ms: int = 0
    #: When servers died with it, oldest first; those that are long past are left out.
    losses: tuple[int, ...] = ()
    #: 0 to 100.
    progress: float = 0.0
    #: The last progress message.
    message: str = ""
    #: Why the last report of the latest attempt was refused; empty when none was.
    flaw: str = ""
    #: Why it did not complete, for a person.
    error: str = ""
    #: Why it did not complete, for a program.
    code: str = ""
    #: When it became final; 0 before.
    finished_ms: int = 0
    #: When its retention ends; 0 before it is final.
    purge_ms: int = 0
    #: Fingerprint of the report that ended it; empty when the gateway ended it.
    digest: bytes = b""
    #: When its wait for a server ends; an attempt that is refused does not begin it anew.
    queue_deadline_ms: int = 0

    @property
    def waiting(self) -> bool:
        """Whether it waits in the queue for a server."""
        return self.server_id is None and self.status is Status.PENDING

    @property
    def running(self) -> bool:
        """Whether an attempt is open: a server's slot belongs to it."""
        return self.server_id is not None and not self.status.final


class Attempt(NamedTuple):
    """One dispatch of a task to one server."""

    number: int
    server_id: str
    outcome: AttemptOutcome
    error: str
    started_ms: int
    #: 0 while it runs.
    ended_ms: int


class Outcome(NamedTuple):
    """What a task ended with, as JSON texts; None where it has none."""

    result: bytes | None = None
    #: A JSON object.
    details: bytes | None = None
    #: A result that came after the task had timed out.
    late_result: bytes | None = None


class Event(NamedTuple):
    """One numbered change of one task."""

    task_id: str
    #: 1, 2, 3, ... within the task, without holes.
    seq: int
    at_ms: int
    kind: EventKind
    #: The status after it.
    status: Status
    #: The progress after it.
    progress: float
    #: The backend's message, or the gateway's reason.
    message: str
    attempt: int
    server_id: str | None
