"""What the gateway tells of tasks, as plain frozen records.

A field has the name that it has in the protos, but for the unit: times are in seconds, JSON values
are what they stand for, enums are their names, and what is unset is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Where a task stands."""

    #: Nobody has said yet.
    UNKNOWN = "STATUS_UNSPECIFIED"
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether a task stays so, unless it is retried."""
        return self in _FINAL


_FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.TIMEOUT, Status.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task as it was when it was read."""

    id: str
    type: str = ""
    status: Status = Status.UNKNOWN
    #: The work itself; None where it was not asked for.
    payload: Any = None
    #: What its backend answered; None unless it is COMPLETED.
    result: Any = None
    #: Why it did not complete: for a person, for a program, and what else is known.
    error: str = ""
    code: str = ""
    details: Any = None
    #: 0 to 100, and the last message with it.
    progress: float = 0.0
    message: str = ""
    #: Of the latest attempt; empty and 0 before the first.
    server_id: str = ""
    attempt: int = 0
    max_attempts: int = 0
    #: Seconds.
    timeout: float = 0.0
    queue_timeout: float = 0.0
    silence_timeout: float = 0.0
    total_timeout: float = 0.0
    result_ttl: float = 0.0
    priority: int = 0
    capabilities: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = False
    tenant: str = ""
    #: The trace that it was created in, 32 hex digits; empty without one.
    trace_id: str = ""
    #: A result that came after the task had timed out.
    late_result: Any = None
    not_before: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: Its place in the queue, from 1; None unless it waits and is due.
    queue_position: int | None = None
    estimated_start_at: datetime | None = None
    #: True if it is not before that place and time: more wait than the gateway keeps in view.
    queue_position_at_least: bool | None = None
    #: Why it waits in vain: no server takes it as things are; empty when one may.
    unserved: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """One numbered change of a task."""

    task_id: str
    #: 1, 2, 3, ... within the task; of a ``QUEUED`` event that of the one before.
    seq: int
    #: ``CREATED``, ``DISPATCHED``, ``ACCEPTED``, ``PROGRESSED``, ``REQUEUED``, ``FINISHED``, ...
    kind: str
    #: As they were after it.
    status: Status
    progress: float
    message: str
    attempt: int
    server_id: str
    time: datetime | None
    #: The whole task, without payload: with the event that ended it, and where events are missing.
    task: TaskState | None
    queue_position: int | None
    estimated_start_at: datetime | None
    #: Of the task, where many are watched; else empty.
    type: str
    queue_position_at_least: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What happened to the tasks of a watch, in the order in which it did."""

    #: Tasks as they are: a part of the snapshot that a watch begins with.
    tasks: tuple[TaskState, ...]
    #: True with the last part of a snapshot.
    snapshot_complete: bool
    events: tuple[TaskEvent, ...]
    #: ``watch(after=…)`` goes on after all of this; empty while the snapshot is not complete.
    cursor: str
    #: True when events may be missing: what follows begins with a snapshot.
    restarted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many tasks there are."""

    #: 10,000 at most.
    count: int
    #: True when there are more or, with a fingerprint or a time, may be.
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One dispatch of a task to one server."""

    number: int
    server_id: str
    #: ``RUNNING``, ``SUCCEEDED``, ``REJECTED``, ``REFUSED``, ``AMBIGUOUS``, ``TIMED_OUT``, ...
    outcome: str
    error: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUrl:
    """Where an ``EventSource``, on a page of any origin, can watch a task."""

    url: str
    #: When it ends, and the streams that it opened with it.
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVerdict:
    """What keeps a server from taking a task."""

    server_id: str
    name: str
    #: ``ELIGIBLE``, ``NOT_CAPABLE``, ``FULL``, ``DRAINING``, ...
    rule: str
    text: str
    remedy: str
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a task runs where it runs, or why it does not run and what would change that."""

    id: str
    status: Status
    #: ``ENDED``, ``RUNNING``, ``DELAYED``, ``PAUSED``, ``NO_SERVER``, ``NO_FREE_SERVER``, ...
    reason: str
    text: str
    remedy: str
    queue_position: int | None
    estimated_start_at: datetime | None
    queue_position_at_least: bool | None
    servers: tuple[ServerVerdict, ...]
