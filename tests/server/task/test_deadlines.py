"""The four timeouts of a task, and which of them ends it."""

import orjson
import pytest

from inferry.server.task.deadlines import expiry
from inferry.server.task.inputs import Accept, Claim, Hold, Input, Progress, Release
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, EventKind, TaskRecord, TaskSpec
from tests.server.situations import CLAIM, CREATED_MS, RULES, SPEC

SILENT = SPEC._replace(silence_timeout_ms=30_000)


def after(*steps: tuple[int, Input], spec: TaskSpec = SPEC) -> TaskRecord:
    """Leads a task through inputs, each at so many milliseconds after its creation."""
    record, _ = create(spec, 0)
    for at_ms, given in steps:
        record = apply(record, given, CREATED_MS + at_ms, RULES).record
    return record


def clock(record: TaskRecord) -> tuple[int, str]:
    """Tells when the running timeout ends, from the creation on, and which one it is."""
    details = expiry(record, record.deadline_ms, RULES).details
    assert details is not None
    return record.deadline_ms - CREATED_MS, orjson.loads(details)["phase"]


@pytest.mark.parametrize(
    ("record", "ends"),
    [
        (after(), (300_000, "queue")),
        (after(spec=SPEC._replace(total_timeout_ms=100)), (100, "total")),
        (after((10, CLAIM)), (302_010, "attempt")),
        (after((10, CLAIM), spec=SPEC._replace(total_timeout_ms=100)), (100, "total")),
        # It had all of the time that it may run: there is none beyond that.
        (after((0, CLAIM), spec=SPEC._replace(total_timeout_ms=302_000)), (302_000, "attempt")),
        (after((10, CLAIM), spec=SPEC._replace(total_timeout_ms=302_000)), (302_000, "total")),
        (after((10, CLAIM), spec=SILENT), (30_010, "silence")),
        (after((10, CLAIM), (20, Accept()), spec=SILENT), (30_020, "silence")),
        (after((10, CLAIM), (290_000, Progress(1.0)), spec=SILENT), (302_010, "attempt")),
    ],
)
def test_the_nearest_clock_ends_a_task(record: TaskRecord, ends: tuple[int, str]) -> None:
    assert clock(record) == ends


def test_who_waited_too_long_is_told_what_held_him_up() -> None:
    why = "no server is registered"
    waited, ran = after(), after((10, CLAIM))
    assert expiry(waited, waited.deadline_ms, RULES, why).error.endswith(f"300000 ms: {why}")
    assert why not in expiry(ran, ran.deadline_ms, RULES, why).error


def test_an_extension_counts_from_its_report_and_never_shortens() -> None:
    record = after((0, CLAIM), (1_000, Progress(1.0, extend_ms=400_000)))
    assert clock(record) == (403_000, "attempt")
    # The same callback again extends nothing twice; a shorter one takes nothing back.
    again = apply(record, Progress(1.0, extend_ms=400_000), CREATED_MS + 1_000, RULES).record
    shorter = apply(again, Progress(2.0, extend_ms=1), CREATED_MS + 2_000, RULES).record
    assert clock(shorter) == (403_000, "attempt")


def test_an_extension_ends_with_the_total_time() -> None:
    extended = (1_000, Progress(1.0, extend_ms=80_000_000))
    record = after((0, CLAIM), extended, spec=SPEC._replace(total_timeout_ms=600_000))
    assert clock(record) == (600_000, "total")


def test_a_refused_attempt_keeps_its_turn_and_its_wait_goes_on() -> None:
    refused = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)
    record = after((0, CLAIM), (250_000, refused))
    assert record.queued_ms == CREATED_MS
    assert clock(record) == (300_000, "queue")


def test_a_wait_that_was_put_off_ends_as_late_after_a_refusal() -> None:
    refused = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)
    later = CREATED_MS + 400_000
    waiting = after()._replace(deadline_ms=later, queue_deadline_ms=later)
    claimed = apply(waiting, CLAIM, later - 10, RULES).record
    assert clock(apply(claimed, refused, later - 5, RULES).record) == (400_000, "queue")


def test_an_attempt_that_may_have_run_waits_anew_from_its_back_off_on() -> None:
    release = Release("cut", AttemptOutcome.AMBIGUOUS, CREATED_MS + 5_000)
    record = after((0, CLAIM), (1_000, release))
    assert record.queued_ms == CREATED_MS + 5_000
    assert clock(record) == (305_000, "queue")


def test_a_held_task_waits_anew_but_keeps_its_turn() -> None:
    waiting = after()
    held = apply(waiting, Hold("the type is paused"), CREATED_MS + 300_000, RULES)
    assert (held.event.kind, held.event.message) == (EventKind.HELD, "the type is paused")
    assert held.record.queued_ms == waiting.queued_ms
    assert clock(held.record) == (600_000, "queue")


def test_a_server_that_died_is_remembered_as_long_as_it_may_matter() -> None:
    record = after()
    for number in range(5):
        record = apply(record, Claim("srv_1"), CREATED_MS + number, RULES).record
        lost = Release("died", AttemptOutcome.LOST, 0, counts=False)
        record = apply(record, lost, CREATED_MS + number, RULES).record
    assert record.losses == (CREATED_MS + 2, CREATED_MS + 3, CREATED_MS + 4)
    assert record.attempts_counted == 0
