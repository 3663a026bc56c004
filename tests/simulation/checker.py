"""What must hold of every world: the promises of a gateway, checked against its file.

The file is read as the next gateway would find it; the history is what people were told meanwhile.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import orjson

from inferry.server.store import rows
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    Event,
    EventKind,
    Outcome,
    Status,
    TaskRecord,
)
from tests.simulation.clocks import Allowance, Timeline, check_clocks
from tests.simulation.history import WRITTEN_S, Fact, History, Report
from tests.simulation.log import LogError, check_log

_TASKS = f"SELECT {', '.join(rows.TASK)} FROM tasks"
_EVENTS = f"SELECT place, {', '.join(rows.EVENT)} FROM events ORDER BY place, seq"
_ATTEMPTS = f"SELECT place, {', '.join(rows.ATTEMPT)} FROM attempts ORDER BY place, number"
_OUTCOMES = "SELECT place, result, details, late_result FROM outcomes"
_PAYLOADS = "SELECT place, body FROM payloads"


@dataclass(slots=True)
class Stored:
    """All that a file says of one task."""

    record: TaskRecord
    events: list[Event] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    #: The request that it was created by.
    ask: str = ""


def read(path: Path) -> dict[str, Stored]:
    """Reads all tasks of a store's file."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        places = {row[0]: Stored(rows.task_of(row)) for row in db.execute(_TASKS)}
        for place, *row in db.execute(_EVENTS):
            stored = places[place]
            stored.events.append(rows.event_of(stored.record.spec.id, row))
        for place, *row in db.execute(_ATTEMPTS):
            places[place].attempts.append(rows.attempt_of(row))
        for place, *row in db.execute(_OUTCOMES):
            places[place].outcome = Outcome(*row)
        for place, body in db.execute(_PAYLOADS):
            places[place].ask = orjson.loads(body)["ask"]
    finally:
        db.close()
    return {stored.record.spec.id: stored for stored in places.values()}


def check(tasks: dict[str, Stored], history: History, allowance: Allowance) -> list[str]:
    """Tells which promises were broken; empty when none was.

    Args:
        tasks: What is on disk, at the end.
        history: What people were told.
        allowance: What clocks may take.
    """
    broken = [
        f"acknowledged task {task_id} is lost" for task_id in sorted(history.created - set(tasks))
    ]
    for task_id, stored in tasks.items():
        try:
            check_log(stored)
            timeline = Timeline(stored, history.happened, history.starts_s)
            check_clocks(stored, timeline, allowance)
        except LogError as error:
            broken.append(f"{task_id}: {error}")
        if not stored.record.status.final:
            broken.append(f"{task_id} is {stored.record.status.name} for ever")
    broken += _check_requests(tasks, history)
    broken += _check_runs(tasks, history)
    broken += _check_shown(tasks, history)
    broken += _check_answers(tasks, history)
    for report in history.reports:
        stored = tasks[report.task_id]
        if report.said["status"] not in ("PENDING", "PROCESSING"):
            broken += _check_report(stored, report)
    return broken


def _check_requests(tasks: dict[str, Stored], history: History) -> list[str]:
    made = Counter(stored.ask for stored in tasks.values())
    broken = [
        f"request {ask} made {made[ask]} tasks, answered with {sorted(ids)}"
        for ask, ids in history.named.items()
        if made[ask] > 1 or len(ids) > 1
    ]
    return broken + [
        f"request {ask} was tried {history.tries[ask]} times and made {count} tasks"
        for ask, count in made.items()
        if count > history.tries[ask]
    ]


def _check_runs(tasks: dict[str, Stored], history: History) -> list[str]:
    """A task that is not idempotent runs once, unless its backend or its client asked for more."""
    broken = []
    started = Counter((run.task_id, run.attempt) for run in history.runs)
    for (task_id, attempt), times in started.items():
        if times > 1:
            broken.append(f"attempt {attempt} of {task_id} was started {times} times")
    runs: defaultdict[str, int] = defaultdict(int)
    allowed: defaultdict[str, int] = defaultdict(lambda: 1)
    for run in history.runs:
        runs[run.task_id] += 1
        allowed[run.task_id] += run.retryable
        stored = tasks.get(run.task_id)
        if stored is None or not any(
            event.kind is EventKind.DISPATCHED and event.attempt == run.attempt
            for event in stored.events
        ):
            broken.append(f"attempt {run.attempt} of {run.task_id} ran and was never recorded")
    for task_id, count in runs.items():
        idempotent = task_id in tasks and tasks[task_id].record.spec.idempotent
        asked = history.retries[task_id] + history.bulk_retries
        if not idempotent and count > allowed[task_id] + asked:
            broken.append(f"{task_id} is not idempotent and ran {count} times")
    return broken


def _check_shown(tasks: dict[str, Stored], history: History) -> list[str]:
    broken = []
    for seen in history.seen:
        stored = tasks.get(seen.task_id)
        if stored is None or not any(
            event.kind is EventKind.FINISHED
            and event.status.name == seen.status
            and event.at_ms == seen.finished_ms
            for event in stored.events
        ):
            broken.append(f"{seen.task_id} was shown as {seen.status}, which it never became")
    for (task_id, seq), shown in history.events.items():
        stored = tasks.get(task_id)
        if stored is None or len(stored.events) < seq or fact(stored.events[seq - 1]) != shown:
            broken.append(f"event {seq} of {task_id} was shown as {shown}, which it is not")
    return broken


def fact(event: Event) -> Fact:
    """Says what an event says, as watchers see it."""
    return Fact(
        event.kind,
        event.status,
        event.progress,
        event.message,
        event.attempt,
        event.server_id,
        event.at_ms,
    )


def _check_answers(tasks: dict[str, Stored], history: History) -> list[str]:
    """A result that a gateway got is not lost, unless the gateway is."""
    broken = []
    for answered in history.answered:
        stored = tasks[answered.task_id]
        attempt = stored.attempts[answered.attempt - 1]
        late_ms = attempt.ended_ms - answered.at_ms
        if attempt.outcome is AttemptOutcome.TIMED_OUT and late_ms > WRITTEN_S * 1_000:
            broken.append(
                f"the answer to attempt {attempt.number} of {answered.task_id} was lost: it timed "
                f"out {late_ms} ms later"
            )
    return broken


def _check_report(stored: Stored, report: Report) -> list[str]:
    """An acknowledged final report is never lost."""
    said, told = report.said, Status[report.status]
    name = f"{said['status']} of attempt {report.attempt} of {report.task_id}"
    if not told.final:
        if said.get("retryable") and told is Status.PENDING:
            return []
        return [f"the report {name} was answered with {told.name}"]
    if not any(
        event.kind is EventKind.FINISHED and event.status is told for event in stored.events
    ):
        return [f"the report {name} was answered with {told.name}, which is not recorded"]
    if said["status"] != "COMPLETED" or _began_anew(stored, report.attempt):
        return []
    kept = stored.outcome.result if told is Status.COMPLETED else stored.outcome.late_result
    if told in (Status.COMPLETED, Status.TIMEOUT) and kept != orjson.dumps(said["result"]):
        return [f"the report {name} was answered with {told.name}, but {kept!r} is kept"]
    return []


def _began_anew(stored: Stored, attempt: int) -> bool:
    """Whether a client had the task started again after an attempt."""
    return any(
        event.kind is EventKind.RETRIED and event.attempt >= attempt for event in stored.events
    )
