"""Judges in the end whether what workers got was counted as it must be."""

from collections import Counter
from collections.abc import Mapping, Sequence

from inferry.server.task.record import Attempt, AttemptOutcome
from tests.simulation.crew.books import Books, Given
from tests.simulation.history import History
from tests.simulation.stored import Stored

#: Between what happens and what is written of it.
_WRITTEN_MS = 500
#: How exactly the time to acknowledge is kept.
_ROUND_MS = 100
_LEFT_THE_LIST = "the server was taken out of the list"


def check_given(
    tasks: Mapping[str, Stored], history: History, books: Books, acknowledge_ms: int
) -> list[str]:
    """Tells what is wrong.

    Args:
        tasks: What is on disk, at the end.
        history: What people were told.
        books: What workers were given.
        acknowledge_ms: How long an assignment may go unacknowledged.
    """
    broken = []
    for (task_id, number), given in books.given.items():
        stored = tasks.get(task_id)
        if stored is None or len(stored.attempts) < number:
            continue
        attempt = stored.attempts[number - 1]
        name = f"attempt {number} of {task_id}"
        if attempt.outcome is AttemptOutcome.REFUSED:
            if not _may_be_taken_back(given, attempt, history, acknowledge_ms):
                broken.append(f"{name} was taken back: {attempt.error}")
        elif (
            attempt.outcome is AttemptOutcome.LOST
            and _taken_ms(given, attempt, 0) is None
            # Once its stream has ended, only the worker knows whether it was taken.
            and given.ended_s is None
            and not _restarted(given, history)
            and _LEFT_THE_LIST not in attempt.error
        ):
            broken.append(f"{name} was never acknowledged, and is lost: {attempt.error}")
    for task_id, stored in tasks.items():
        broken += [
            f"{message!r} of attempt {number} of {task_id} was taken and is not among the events"
            for number, message in _said(history, task_id)
            if not any((e.attempt, e.message) == (number, message) for e in stored.events)
        ]
    return broken


def taken_back(tasks: Mapping[str, Stored], books: Books) -> Counter[str]:
    """Counts the attempts of each task that left for a worker and that it never took, it seemed.

    Whether it began all the same, nobody can know whose acknowledgement did not come.
    """
    return Counter(
        task_id
        for task_id, number in books.given
        if task_id in tasks
        and len(tasks[task_id].attempts) >= number
        and tasks[task_id].attempts[number - 1].outcome is AttemptOutcome.REFUSED
    )


def _may_be_taken_back(
    given: Given, attempt: Attempt, history: History, acknowledge_ms: int
) -> bool:
    if given.excused or given.missed_ms is not None or _restarted(given, history):
        # Of two processes with one name one may say so, and the other claim it afterwards.
        return True
    due_ms = given.left_ms + acknowledge_ms
    taken_ms = _taken_ms(given, attempt, _WRITTEN_MS)
    if taken_ms is not None and taken_ms < due_ms - _ROUND_MS:
        return False
    return attempt.ended_ms >= due_ms - _ROUND_MS or given.ended_s is not None


def _taken_ms(given: Given, attempt: Attempt, before_ms: int) -> int | None:
    """Tells when a gateway heard that the worker had it; None if not so long before its end."""
    taken_ms = given.taken_ms
    return None if taken_ms is None or taken_ms + before_ms > attempt.ended_ms else taken_ms


def _restarted(given: Given, history: History) -> bool:
    """Whether a gateway started after it had left: the next one cannot know all."""
    return any(start_s >= given.left_s for start_s in history.starts_s)


def _said(history: History, task_id: str) -> Sequence[tuple[int, str]]:
    return [
        (report.attempt, report.said["message"])
        for report in history.reports
        if report.task_id == task_id and report.status == "PROCESSING" and "message" in report.said
    ]
