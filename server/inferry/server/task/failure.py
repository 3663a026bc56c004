"""What follows a failed attempt: another one, or the end. Pure.

Three classes (design section 6): *refused* never ran and goes to another server at once, without
counting; *ambiguous* may have run, so only an idempotent task goes again; *rejected* is the
server's own word and final, unless that word is that another attempt may do better. *Lost* is
ambiguous, too, but the server died: the task goes elsewhere at once, and is ended as poison if
servers keep dying with it.
"""

from dataclasses import dataclass

import orjson

from inferry.server.task.inputs import Fail, Release
from inferry.server.task.record import AttemptOutcome, TaskRecord
from inferry.server.task.rules import TaskRules


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt went wrong."""

    #: REFUSED, AMBIGUOUS, LOST or REJECTED.
    outcome: AttemptOutcome
    #: One line for a person.
    error: str
    #: One word for a program.
    code: str = "INTERNAL_ERROR"
    #: A JSON object.
    details: bytes | None = None
    #: The server says that another attempt may do better.
    retryable: bool = False
    #: How long the server wants to be left alone; None when it did not say.
    retry_after_ms: int | None = None
    #: Fingerprint of the report that said so; empty when the gateway saw it itself.
    digest: bytes = b""


def plan(
    record: TaskRecord, failure: Failure, now_ms: int, jitter: float, rules: TaskRules
) -> Fail | Release:
    """Decides what follows a failed attempt.

    Args:
        record: The task, with the attempt still open.
        failure: How it went wrong.
        now_ms: The time.
        jitter: A random number from 0 to 1: full jitter of the back-off.
        rules: The numbers.
    """
    if failure.outcome is AttemptOutcome.REFUSED:
        return Release(failure.error, failure.outcome, not_before_ms=0, counts=False)
    if failure.outcome is AttemptOutcome.LOST:
        return _after_loss(record, failure, now_ms, rules)
    again = (
        record.spec.idempotent if failure.outcome is AttemptOutcome.AMBIGUOUS else failure.retryable
    )
    if again and record.attempts_counted < record.spec.max_attempts:
        wait_ms = failure.retry_after_ms or backoff_ms(record.attempts_counted, jitter, rules)
        return Release(failure.error, failure.outcome, not_before_ms=now_ms + wait_ms)
    details = failure.details
    if details is None and failure.outcome is AttemptOutcome.AMBIGUOUS:
        details = orjson.dumps({"reason": "ambiguous", "attempt": record.attempt})
    return Fail(failure.error, failure.code, details, failure.outcome, failure.digest)


def _after_loss(
    record: TaskRecord, failure: Failure, now_ms: int, rules: TaskRules
) -> Fail | Release:
    losses = 1 + sum(at_ms > now_ms - rules.poison_window_ms for at_ms in record.losses)
    if record.spec.idempotent and losses < rules.poison_losses:
        return Release(failure.error, failure.outcome, not_before_ms=0, counts=False)
    reason, error = "lost", failure.error
    if record.spec.idempotent:
        reason = "poison"
        error = f"{losses} servers died with the task; the last: {failure.error}"
    details = orjson.dumps(
        {"reason": reason, "attempt": record.attempt, "serverId": record.server_id}
    )
    return Fail(error, failure.code, details, failure.outcome)


def backoff_ms(attempts: int, jitter: float, rules: TaskRules) -> int:
    """Tells how long to wait after so many attempts: doubling, capped, with full jitter."""
    doubled_ms = rules.backoff_first_ms * 2 ** min(max(attempts - 1, 0), 16)
    longest = min(rules.backoff_longest_ms, doubled_ms)
    return int(longest * jitter)
