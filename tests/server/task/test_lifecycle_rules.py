"""What each input does to a task, example by example."""

import pytest

from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Expire,
    Fail,
    Input,
    Misreport,
    Progress,
    Retry,
    Succeed,
)
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, EventKind, Outcome
from tests.server.situations import CLAIM, CREATED_MS, EXPIRED, LOST, RULES, SPEC, lead_to


def test_progress_is_clamped_and_starts_again_with_the_next_attempt() -> None:
    record = lead_to("processing")
    for reported, shown in [(-5.0, 0), (45.0, 45), (30.0, 45), (float("nan"), 45), (1e9, 100)]:
        record = apply(record, Progress(reported), CREATED_MS, RULES).record
        assert record.progress == shown
    record = apply(record, LOST, CREATED_MS, RULES).record
    assert apply(record, CLAIM, CREATED_MS, RULES).record.progress == 0


def test_a_report_without_a_message_leaves_the_last_one() -> None:
    record = apply(lead_to("processing"), Progress(1.0, "frame 1"), CREATED_MS, RULES).record
    assert apply(record, Progress(2.0), CREATED_MS, RULES).record.message == "frame 1"


def test_an_attempt_ends_its_grace_after_its_timeout_but_never_after_the_total() -> None:
    record = lead_to("dispatched")
    assert record.deadline_ms == CREATED_MS + SPEC.timeout_ms + RULES.grace_ms
    waiting = lead_to("waiting")
    late_ms = waiting.total_deadline_ms - 1
    assert apply(waiting, CLAIM, late_ms, RULES).record.deadline_ms == waiting.total_deadline_ms


def test_a_delayed_task_waits_its_queue_time_from_its_delay_on() -> None:
    record, _ = create(SPEC, CREATED_MS + 60_000)
    assert record.deadline_ms == CREATED_MS + 60_000 + SPEC.queue_timeout_ms


def test_a_refused_attempt_keeps_its_number_but_does_not_count() -> None:
    refused = LOST._replace(counts=False, outcome=AttemptOutcome.REFUSED)
    record = apply(lead_to("dispatched"), refused, CREATED_MS, RULES).record
    assert (record.attempt, record.attempts_counted) == (1, 0)
    lost = apply(lead_to("dispatched"), LOST, CREATED_MS, RULES).record
    assert (lost.attempt, lost.attempts_counted) == (1, 1)


def test_a_late_result_is_kept_aside_and_the_task_stays_timed_out() -> None:
    record = lead_to("timed out by the gateway")
    late = apply(record, Succeed(b"42", b"report"), CREATED_MS + 5, RULES)
    assert late.outcome == Outcome(late_result=b"42")
    assert late.event.kind is EventKind.LATE_RESULT
    same = late.record._replace(seq=record.seq, updated_ms=record.updated_ms, digest=b"")
    assert same == record


def test_why_a_report_was_refused_stays_on_its_attempt_alone() -> None:
    record = apply(lead_to("processing"), Misreport("no JSON"), CREATED_MS, RULES).record
    assert (record.flaw, record.message, record.progress) == ("no JSON", "", 0)
    ended = apply(record, EXPIRED, CREATED_MS, RULES)
    assert ended.closed is not None
    assert ended.closed.error == "too slow; its last report was refused: no JSON"
    waiting = apply(record, LOST, CREATED_MS, RULES).record
    assert apply(waiting, CLAIM, CREATED_MS, RULES).record.flaw == ""
    done = apply(record, Succeed(b"1"), CREATED_MS, RULES)
    assert done.closed is not None
    assert done.closed.error == ""


def test_times_within_a_task_never_go_back_though_the_clock_did() -> None:
    later = apply(lead_to("dispatched"), Accept(), CREATED_MS + 900, RULES).record
    done = apply(later, Succeed(b"1"), CREATED_MS + 100, RULES)
    assert done.event.at_ms == done.record.updated_ms == CREATED_MS + 900
    assert done.record.finished_ms == CREATED_MS + 900


def test_a_retry_starts_afresh_but_numbers_go_on() -> None:
    again = apply(lead_to("failed"), Retry(), CREATED_MS + 5, RULES)
    assert again.record.waiting
    assert (again.record.attempt, again.record.attempts_counted) == (1, 0)
    assert (again.record.error, again.record.code, again.record.progress) == ("", "", 0)
    assert again.outcome == Outcome()
    assert apply(again.record, CLAIM, CREATED_MS + 6, RULES).record.attempt == 2


@pytest.mark.parametrize("ending", [Succeed(b"1"), Cancel(), Fail("broken", "ODD"), EXPIRED])
def test_a_final_task_is_kept_by_its_status_or_as_its_creator_said(ending: Input) -> None:
    done = isinstance(ending, Succeed | Cancel)
    kept_ms = RULES.keep_done_ms if done else RULES.keep_failed_ms
    record = lead_to("processing")
    assert apply(record, ending, CREATED_MS, RULES).record.purge_ms == CREATED_MS + kept_ms
    own = record._replace(spec=SPEC._replace(result_ttl_ms=5))
    assert apply(own, ending, CREATED_MS, RULES).record.purge_ms == CREATED_MS + 5


@pytest.mark.parametrize(
    ("ending", "stored", "attempt", "code"),
    [
        (Succeed(b"1"), Outcome(result=b"1"), AttemptOutcome.SUCCEEDED, ""),
        (
            Fail("why", "ODD", b"{}", AttemptOutcome.AMBIGUOUS),
            Outcome(details=b"{}"),
            AttemptOutcome.AMBIGUOUS,
            "ODD",
        ),
        (
            Expire("why", details=b"{}"),
            Outcome(details=b"{}"),
            AttemptOutcome.TIMED_OUT,
            "TIMEOUT",
        ),
        (Cancel("why"), None, AttemptOutcome.ABORTED, "CANCELLED"),
    ],
)
def test_an_ending_is_told_by_the_task_its_event_its_attempt_and_what_is_stored(
    ending: Input, stored: Outcome | None, attempt: AttemptOutcome, code: str
) -> None:
    done = apply(lead_to("processing"), ending, CREATED_MS, RULES)
    error = "" if isinstance(ending, Succeed) else "why"
    assert (done.record.error, done.record.code, done.event.message) == (error, code, error)
    assert done.closed is not None
    assert (done.closed.outcome, done.closed.error) == (attempt, error)
    assert done.outcome == stored
