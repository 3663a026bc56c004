"""What must hold of every world: the promises of a gateway, checked against its file.

The file is read as the next gateway would find it; the history is what people were told meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from types import MappingProxyType

import orjson

from inferry.server.task.record import AttemptOutcome, Event, EventKind, Status
from tests.simulation.history import WRITTEN_S, Fact, History, Report
from tests.simulation.log import LogError, check_log
from tests.simulation.stored import Stored
from tests.simulation.timeouts import Allowance, Timeline, check_timeouts


def check(
    tasks: dict[str, Stored],
    history: History,
    allowance: Allowance,
    excused: Mapping[str, int] = MappingProxyType({}),
) -> list[str]:
    """Tells which promises were broken; empty when none was.

    Args:
        tasks: What is on disk, at the end, and what was purged from there.
        history: What people were told.
        allowance: What timeouts may take.
        excused: Runs of each task that nobody could know of.
    """
    reported = {
        one.task_id for told in (history.answered, history.reports, history.streams) for one in told
    }
    lost = sorted((history.created | reported) - set(tasks))
    broken = [f"acknowledged task {task_id} is lost" for task_id in lost]
    if reported & set(lost):
        return broken
    for task_id, stored in tasks.items():
        try:
            check_log(stored)
            timeline = Timeline(stored, history.happened, history.lone_starts_s)
            check_timeouts(stored, timeline, allowance)
        except LogError as error:
            broken.append(f"{task_id}: {error}")
        if not stored.record.status.final:
            broken.append(f"{task_id} is {stored.record.status.name} for ever")
    broken += _check_purges(tasks, history)
    broken += _check_streams(tasks, history)
    broken += _check_requests(tasks, history)
    broken += _check_runs(tasks, history, excused)
    broken += _check_shown(tasks, history)
    broken += _check_answers(tasks, history)
    for report in history.reports:
        stored = tasks[report.task_id]
        if report.said["status"] not in ("PENDING", "PROCESSING"):
            broken += _check_report(stored, report)
    return broken


def _check_purges(tasks: dict[str, Stored], history: History) -> list[str]:
    """A task is kept as long as it was promised, and is gone to nobody before."""
    broken = []
    for task_id, stored in tasks.items():
        record = stored.record
        if stored.purged_ms is None:
            continue
        kept_ms = stored.purged_ms - record.finished_ms
        if not record.status.final or kept_ms < record.spec.result_ttl_ms:
            broken.append(f"{task_id} was purged {kept_ms} ms after it was {record.status.name}")
    made = {stored.ask: task_id for task_id, stored in tasks.items()}
    gone = [
        *history.gone_s.items(),
        *((made.get(ask, ask), told_s) for ask, told_s in history.vanished_requests_s.items()),
    ]
    for task_id, told_s in gone:
        found = tasks.get(task_id)
        there = found is None or found.purged_ms is None
        if found is None or there or history.buried_s[found.buried_before] > told_s:
            broken.append(f"{task_id} was said to be gone when it was not")
    return broken


def _check_streams(tasks: dict[str, Stored], history: History) -> list[str]:
    """Each report of a stream that was taken is among the events, once."""
    broken = []
    for stream in history.streams:
        for message in stream.messages:
            times = sum(
                (event.attempt, event.message) == (stream.attempt, message)
                for event in tasks[stream.task_id].events
            )
            if times != 1:
                broken.append(
                    f"{message!r} of a stream on {stream.task_id} is {times} times among the events"
                )
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


def _check_runs(
    tasks: dict[str, Stored], history: History, excused: Mapping[str, int]
) -> list[str]:
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
        asked = history.retries[task_id] + history.bulk_retries + excused.get(task_id, 0)
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
