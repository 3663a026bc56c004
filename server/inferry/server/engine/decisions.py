"""What is to happen to a task as it is found when it is changed. Pure."""

from collections.abc import Callable

from inferry.server.clock import Clock
from inferry.server.engine.outlook import Outlook
from inferry.server.task.deadlines import expiry
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Cancel, Hold, Input, Misreport
from inferry.server.task.record import TaskRecord
from inferry.server.task.reports import Report, interpret
from inferry.server.task.rules import TaskRules

#: None changes nothing.
Decide = Callable[[TaskRecord], Input | Failure | None]
#: Takes a look at the servers.
Look = Callable[[], Outlook]


def abandoned(record: TaskRecord) -> Input | None:
    """Tells what becomes of a task whose creator hung up: one that a server has goes on."""
    reason = "its creator hung up while it waited for a server"
    return Cancel(reason) if record.waiting else None


def ended_by_time(
    clock: Clock, rules: TaskRules, paused: Callable[[str], bool], outlook: Outlook
) -> Decide:
    """Tells what becomes of a task whose clock may have run out.

    Args:
        clock: The time.
        rules: The numbers of a task's life.
        paused: Whether a type is held back.
        outlook: Tells why a task still waits.
    """

    def decide(record: TaskRecord) -> Input | None:
        now = clock.now_ms()
        if not 0 < record.deadline_ms <= now:
            return None
        if record.waiting and paused(record.spec.type) and now < record.total_deadline_ms:
            return Hold("the type is paused")
        why = outlook.hindrance(record) if record.waiting else None
        return expiry(record, now, rules, why.text if why else "")

    return decide


def reported(attempt: int | None, report: Report | str, server_id: str | None) -> Decide:
    """Tells what a report does to a task as it is found, or why one was refused that came."""

    def decide(record: TaskRecord) -> Input | Failure | None:
        if isinstance(report, Report):
            return interpret(record, attempt, report, server_id)
        theirs = server_id in (None, record.server_id)
        concerned = record.running and attempt in (None, record.attempt) and theirs
        return Misreport(report) if concerned and record.flaw != report else None

    return decide
