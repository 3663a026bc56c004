"""What the gateway tells of servers and the queue; ``records`` says how fields are named."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server says of its load: percent, percent, tasks, tasks."""

    cpu: float
    memory: float
    active_tasks: int
    queue_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server or a worker."""

    id: str
    url: str
    name: str
    capabilities: tuple[str, ...]
    max_concurrent: int
    metadata: Any
    #: ``ACTIVE``, ``DEGRADED``, ``OFFLINE``, ``DRAINING``, ``RESTING``, ...
    status: str
    load: Load | None
    active: int
    success_rate: float | None
    last_seen_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    last_error: str
    #: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
    breaker: str
    retry_at: datetime | None
    #: ``HTTP`` or ``GRPC``.
    transport: str
    #: Of a worker: ``CONNECTED``, ``LOADING``, ``STALLED``, ``RECONNECTING`` or ``GONE``.
    connection: str
    tenant: str
    labels: Mapping[str, str]
    credit: int | None
    #: Seconds for which it could have worked and got nothing.
    worker_idle_with_backlog: float
    #: What looks like a mistake about it, and holds nothing back.
    notes: tuple[str, ...]
    probed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeQueue:
    """The waiting tasks of one type."""

    type: str
    waiting: int
    delayed: int
    paused: bool
    pause_reason: str
    paused_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The queue as a whole."""

    waiting: int
    limit: int
    left_last_minute: int
    types: tuple[TypeQueue, ...]
