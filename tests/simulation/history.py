"""What clients, watchers and backends were told: what a gateway must stand by."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inferry.server.task.record import TaskRecord
from inferry.v1.task_pb2 import TaskEvent

#: A gateway that lives so much longer has written an answer down, even if the disk was full.
WRITTEN_S = 4.0


@dataclass(slots=True)
class Run:
    """A backend began to work on a task."""

    task_id: str
    attempt: int
    backend: str
    #: The backend said that another attempt may do better.
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A callback that was answered with 200."""

    task_id: str
    attempt: int
    said: dict[str, Any]
    #: The status in the answer.
    status: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream of reports that was answered."""

    task_id: str
    attempt: int
    #: The messages of the reports on its progress that were taken.
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A gateway got a result as the answer to a dispatch."""

    task_id: str
    attempt: int
    #: When it got it, by its clock.
    at_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A final status that somebody was shown."""

    task_id: str
    status: str
    finished_ms: int


class Fact(NamedTuple):
    """What an event says."""

    kind: int
    status: int
    progress: float
    message: str
    attempt: int
    server_id: str | None
    at_ms: int


@dataclass(slots=True)
class History:
    """All of it, in order."""

    #: Tasks whose creation was acknowledged.
    created: set[str] = field(default_factory=set)
    #: When each event was written, by the world's time, in seconds: by task and number.
    happened: dict[tuple[str, int], float] = field(default_factory=dict)
    #: When each gateway began to start.
    starts_s: list[float] = field(default_factory=list)
    #: Likewise, but of those alone that have nobody beside them: they leave a time of grace.
    lone_starts_s: list[float] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    streams: list[Streamed] = field(default_factory=list)
    #: When each task was purged, in their order, by the world's time.
    buried_s: list[float] = field(default_factory=list)
    #: When somebody was told first that a task is gone, by the world's time.
    gone_s: dict[str, float] = field(default_factory=dict)
    #: When a client was told first that what its request made is gone.
    vanished_requests_s: dict[str, float] = field(default_factory=dict)
    #: Answers with results to gateways that lived on for a while.
    answered: list[Answered] = field(default_factory=list)
    seen: dict[Seen, None] = field(default_factory=dict)
    #: Events that watchers were shown, by task and number.
    events: dict[tuple[str, int], Fact] = field(default_factory=dict)
    #: Attempts that servers were told to stop, and do.
    told_to_stop: set[tuple[str, int]] = field(default_factory=set)
    #: Servers that are workers, and attempts that left for them.
    workers: set[str] = field(default_factory=set)
    streamed: set[tuple[str, int]] = field(default_factory=set)
    #: When a report on each attempt last came to a gateway, by its clock.
    heard_ms: dict[tuple[str, int], int] = field(default_factory=dict)
    #: Retries asked for, answered or not, by task.
    retries: Counter[str] = field(default_factory=Counter)
    #: Times that all failed tasks were to run again.
    bulk_retries: int = 0
    #: Tasks that each request with a name was answered with.
    named: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: Tries of each request without a name.
    tries: Counter[str] = field(default_factory=Counter)

    def acknowledged(self, ask: str, task_id: str, *, named: bool) -> None:
        """A creation was acknowledged."""
        self.created.add(task_id)
        if named:
            self.named[ask].add(task_id)

    def written(self, record: TaskRecord, at_s: float) -> None:
        """A task's events up to its latest one are on disk."""
        for seq in range(record.seq, 0, -1):
            if self.happened.setdefault((record.spec.id, seq), at_s) is not at_s:
                break

    def shown(self, event: TaskEvent) -> Fact | None:
        """A watcher was shown an event; returns what another was shown in its place, if so."""
        fact = Fact(
            event.kind,
            event.status,
            event.progress,
            event.message,
            event.attempt,
            event.server_id or None,
            event.time.ToMilliseconds(),
        )
        known = self.events.setdefault((event.task_id, event.seq), fact)
        return None if known == fact else known

    def started(self, run: Run) -> None:
        """A backend began to work."""
        self.runs.append(run)

    def reported(self, report: Report) -> None:
        """A callback was acknowledged."""
        self.reports.append(report)
