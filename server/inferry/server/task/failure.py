"""What follows a failed attempt: another one, or the end. Pure.

Three classes (design section 6): *refused* never ran and goes to another server at once, without
counting; *ambiguous* may have run, so only an idempotent task goes again; *rejected* is the
server's own word and final, unless that word is that another attempt may do better. *Lost* is
ambiguous, too, but the server died: the task goes elsewhere at once, and is ended as poison if
servers keep dying with it. A server may say itself that it lost an attempt: see ``Loss``.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import orjson

from inferry.server.task.inputs import Fail, Release
from inferry.server.task.record import AttemptOutcome, TaskRecord
from inferry.server.task.rules import TaskRules


class Loss(IntEnum):
    """How a server says that it lost an attempt; numbered as ``inferry.v1.TaskUpdate.Loss``."""

    #: Given back before it ran: it is *refused*.
    NOT_STARTED = 1
    #: Broken off: again if the task is idempotent, which does not count; else the end.
    INTERRUPTED = 2
    #: The process that ran it died: it is *lost*, as if the server had died.
    PROCESS_DIED = 3


#: What that is among the outcomes of attempts.
LOSSES: Mapping[Loss, AttemptOutcome] = {
    Loss.NOT_STARTED: AttemptOutcome.REFUSED,
    Loss.INTERRUPTED: AttemptOutcome.AMBIGUOUS,
    Loss.PROCESS_DIED: AttemptOutcome.LOST,
}


class Failure(NamedTuple):
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
    #: How the server says that it lost the attempt; None when it says no such thing.
    loss: Loss | None = None


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
    if failure.loss is Loss.INTERRUPTED:
        return _after_interruption(record, failure)
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


def _after_interruption(record: TaskRecord, failure: Failure) -> Fail | Release:
    if record.spec.idempotent:
        return Release(failure.error, failure.outcome, not_before_ms=0, counts=False)
    details = _details(record, failure, "interrupted")
    return Fail(failure.error, failure.code, details, failure.outcome, failure.digest)


def _after_loss(
    record: TaskRecord, failure: Failure, now_ms: int, rules: TaskRules
) -> Fail | Release:
    losses = 1 + sum(at_ms > now_ms - rules.poison_window_ms for at_ms in record.losses)
    if record.spec.idempotent and losses < rules.poison_losses:
        return Release(failure.error, failure.outcome, not_before_ms=0, counts=False)
    reason, error = "lost" if failure.loss is None else "process_died", failure.error
    if record.spec.idempotent:
        reason = "poison"
        error = f"{losses} servers died with the task; the last: {failure.error}"
    details = _details(record, failure, reason)
    return Fail(error, failure.code, details, failure.outcome, failure.digest)


def _details(record: TaskRecord, failure: Failure, reason: str) -> bytes:
    """Tells why a task ended with its attempt; what the server told of it stands in there."""
    told = {"reason": reason, "attempt": record.attempt, "serverId": record.server_id}
    if failure.details is not None:
        return orjson.dumps({**told, "details": orjson.Fragment(failure.details)})
    return orjson.dumps(told)


def backoff_ms(attempts: int, jitter: float, rules: TaskRules) -> int:
    """Tells how long to wait after so many attempts: doubling, capped, with full jitter."""
    doubled_ms = rules.backoff_first_ms * 2 ** min(max(attempts - 1, 0), 16)
    longest = min(rules.backoff_longest_ms, doubled_ms)
    return int(longest * jitter)
