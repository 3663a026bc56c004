"""What clients and workers saw while the gateway was killed again and again.

Nothing is judged here: see ``checker``. Times are seconds of this process' monotonic clock, so that
what is recorded by all of them can be put in order.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

Json = Mapping[str, Any]

FINAL = frozenset({"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"})
#: The ``code`` of a task that failed because its plan says so.
PLANNED = "PLANNED"


class Plan(StrEnum):
    """What a worker does with a task."""

    #: Reports progress, then its result.
    SUCCEED = "succeed"
    #: Reports that it failed.
    FAIL = "fail"
    #: Reports at first that another attempt may do better, then succeeds.
    AGAIN = "again"
    #: Has no room at first, then succeeds.
    REFUSE = "refuse"
    #: Reports its result together with all others that do so.
    BURST = "burst"


class Wish(NamedTuple):
    """What a client wants of one task."""

    #: The client's own name for it; its label in the gateway.
    number: int
    plan: Plan
    asynchronous: bool
    idempotent: bool
    #: Whether it has an idempotency key, so that it may be asked for again.
    keyed: bool


class Seen(NamedTuple):
    """A task as somebody saw it, at some time between the call and its answer."""

    task_id: str
    #: Who saw it: create, read, watch, cancel, report.
    where: str
    began_s: float
    ended_s: float
    status: str
    #: What it ended with, as far as this answer tells; None if it has not, or does not tell.
    end: bytes | None


class Run(NamedTuple):
    """A dispatch that reached a worker."""

    task_id: str
    attempt: int
    worker: str
    #: The worker said that it had no room: nothing ran.
    refused: bool
    #: It came on a stream.
    streamed: bool = False


class Told(NamedTuple):
    """A report that the gateway answered."""

    task_id: str
    attempt: int
    #: The body.
    said: Json
    #: Of HTTP.
    code: int
    answer: Json


class Heard(NamedTuple):
    """A message that a webhook got."""

    #: Its name.
    id: str
    said: Json
    #: Whether the receiver took it.
    taken: bool


@dataclass(slots=True)
class Onlooking:
    """What somebody saw who watched all tasks, over all their streams."""

    #: How: the call.
    where: str
    #: Of each task, in the order in which they came.
    events: dict[str, list[Json]] = field(default_factory=dict)
    messages: int = 0
    #: How often they were shown everything anew.
    restarts: int = 0


@dataclass(slots=True)
class History:
    """All of it."""

    wishes: dict[int, Wish] = field(default_factory=dict)
    #: Ids that a create was answered with, by wish.
    created: dict[int, set[str]] = field(default_factory=dict)
    #: Creates that were answered over gRPC.
    by_rpc: int = 0
    #: Wishes whose create was sent and never answered.
    unanswered: set[int] = field(default_factory=set)
    #: Tasks that somebody asked to cancel.
    cancels: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    #: Events that watchers got, over all their connections, by task.
    watched: list[tuple[str, Sequence[Json]]] = field(default_factory=list)
    #: Of those who watched all tasks, from before the first one on.
    onlooking: list[Onlooking] = field(default_factory=list)
    #: What a webhook got, and whether there was one from before the first task on.
    heard: list[Heard] = field(default_factory=list)
    listened: bool = False
    #: Calls and reports that had a connection and got no whole answer.
    broken: list[str] = field(default_factory=list)
    #: Answers that nobody may get, ever.
    surprises: list[str] = field(default_factory=list)
    #: Why the gateway was killed, each time.
    kills: list[str] = field(default_factory=list)
    #: From the start of its process until it serves, in seconds.
    restarts_s: list[float] = field(default_factory=list)

    def saw(self, where: str, began_s: float, task: Json) -> None:
        """Notes a whole task that was the answer to a call."""
        status = task["status"]
        end = end_of(task) if status in FINAL else None
        self.seen.append(Seen(task["id"], where, began_s, time.monotonic(), status, end))


@dataclass(frozen=True, slots=True)
class Remains:
    """What the gateway knows of one task in the end."""

    task: Json
    events: Sequence[Json]
    attempts: Sequence[Json]


def end_of(task: Json) -> bytes:
    """Gives all that a final task ended with, comparable."""
    kept = {name: task.get(name) for name in ("status", "result", "error", "code", "details")}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
