"""The rules of one task's log: its events and attempts, and the record that they lead to."""

from typing import TYPE_CHECKING

import orjson

from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Expire,
    Fail,
    Hold,
    Input,
    Misreport,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.lifecycle import TRANSITIONS
from inferry.server.task.record import AttemptOutcome, EventKind, Status
from tests.server.rules import TASK_RULES

if TYPE_CHECKING:
    from tests.simulation.stored import Stored

#: As it is, whatever is planted in it later.
_TABLE = dict(TRANSITIONS)
_INPUTS: dict[EventKind, tuple[type[Input], ...]] = {
    EventKind.DISPATCHED: (Claim,),
    EventKind.ACCEPTED: (Accept,),
    EventKind.PROGRESSED: (Progress,),
    EventKind.REQUEUED: (Release,),
    EventKind.FINISHED: (Succeed, Fail, Expire, Cancel),
    EventKind.RETRIED: (Retry,),
    EventKind.LATE_RESULT: (Succeed,),
    EventKind.HELD: (Hold,),
    EventKind.MISREPORTED: (Misreport,),
}
_NEED_ATTEMPT = (EventKind.ACCEPTED, EventKind.PROGRESSED, EventKind.REQUEUED)
_NEED_NONE = (EventKind.DISPATCHED, EventKind.HELD)
_AFTER_END = (EventKind.RETRIED, EventKind.LATE_RESULT)
_OUTCOMES = {
    Status.COMPLETED: (AttemptOutcome.SUCCEEDED,),
    Status.FAILED: (AttemptOutcome.REJECTED, AttemptOutcome.AMBIGUOUS, AttemptOutcome.LOST),
    Status.TIMEOUT: (AttemptOutcome.TIMED_OUT,),
    Status.CANCELLED: (AttemptOutcome.ABORTED,),
}


class LogError(Exception):
    """A log breaks a rule; the message says which."""


def check_log(stored: "Stored") -> None:
    """Checks all rules of one task's log but those of its timeouts.

    Raises:
        LogError: It breaks one.
    """
    record, events = stored.record, stored.events
    if [event.seq for event in events] != list(range(1, record.seq + 1)):
        raise LogError(f"events {[event.seq for event in events]}, the last is {record.seq}")
    _check_steps(stored)
    if (events[-1].status, events[-1].attempt) != (record.status, record.attempt):
        raise LogError(f"the last event is {events[-1]}, the task is {record}")
    times = [event.at_ms for event in events]
    if times != sorted(times):
        raise LogError(f"times of its events go back: {times}")
    _check_attempts(stored)
    if record.status is Status.COMPLETED:
        result = orjson.loads(stored.outcome.result or b"null")
        if result.get("attempt") != record.attempt:
            raise LogError(f"attempt {record.attempt} completed it, the result is {result}")


def _check_steps(stored: "Stored") -> None:
    """Each event follows from the one before by the table of the lifecycle."""
    before = stored.events[0]
    if (before.kind, before.status, before.attempt) != (EventKind.CREATED, Status.PENDING, 0):
        raise LogError(f"it began with {before}")
    running = False
    for event in stored.events[1:]:
        targets = {_TABLE.get((before.status, kind)) for kind in _INPUTS[event.kind]}
        working = event.kind is EventKind.PROGRESSED and event.status is before.status
        if before.status.final and event.kind not in _AFTER_END:
            raise LogError(f"{event.kind.name} came after it was {before.status.name}")
        if event.status not in targets and not working:
            raise LogError(f"{event.kind.name} led from {before.status.name} to {event.status}")
        if (event.kind in _NEED_ATTEMPT and not running) or (event.kind in _NEED_NONE and running):
            raise LogError(f"{event.kind.name} came when attempt {before.attempt} was not as due")
        if event.attempt != before.attempt + (event.kind is EventKind.DISPATCHED):
            raise LogError(f"attempt {event.attempt} followed attempt {before.attempt}")
        if event.kind is EventKind.DISPATCHED:
            running = True
        elif event.kind in (EventKind.REQUEUED, EventKind.FINISHED):
            running = False
        before = event


def _check_attempts(stored: "Stored") -> None:
    """Each attempt has one end, and no round has more of them than it may."""
    attempts, record = stored.attempts, stored.record
    ended = record.attempt - record.running
    if [attempt.number for attempt in attempts] != list(range(1, ended + 1)):
        raise LogError(f"attempts {[one.number for one in attempts]} of {record.attempt}")
    counted = lost = 0
    for event in stored.events:
        if event.kind is EventKind.RETRIED:
            counted = 0
        if event.kind not in (EventKind.REQUEUED, EventKind.FINISHED) or not event.attempt:
            continue
        outcome = attempts[event.attempt - 1].outcome
        if event.kind is EventKind.FINISHED:
            if event.server_id and outcome not in _OUTCOMES[event.status]:
                raise LogError(f"it ended {event.status.name} with an attempt {outcome.name}")
            continue
        lost += outcome is AttemptOutcome.LOST
        counted += outcome not in (AttemptOutcome.REFUSED, AttemptOutcome.LOST)
        if counted >= record.spec.max_attempts:
            raise LogError(f"it waited again after {counted} of {record.spec.max_attempts} runs")
        if lost >= TASK_RULES.poison_losses:
            raise LogError(f"it waited again after {lost} servers died with it")
