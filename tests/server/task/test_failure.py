from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.task.failure import (
    LOSSES,
    Failure,
    Loss,
    backoff_ms,
    plan,
)
from inferry.server.task.inputs import Claim, Fail, Release
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, TaskRecord
from tests.server.situations import RULES, SPEC

NOW = SPEC.created_ms


def running(*, idempotent: bool = False, counted: int = 1, max_attempts: int = 3) -> TaskRecord:
    spec = SPEC._replace(max_attempts=max_attempts, idempotent=idempotent)
    record = apply(create(spec, 0)[0], Claim("srv_1"), NOW, RULES).record
    return record._replace(attempts_counted=counted)


def failure(outcome: AttemptOutcome, *, retryable: bool = False) -> Failure:
    return Failure(outcome, "it broke", "BROKEN", retryable=retryable)


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("counted", [1, 3, 50])
def test_a_refused_attempt_goes_to_another_server_at_once_and_does_not_count(
    idempotent: bool, counted: int
) -> None:
    record = running(idempotent=idempotent, counted=counted)
    given = plan(record, failure(AttemptOutcome.REFUSED), NOW, 0.5, RULES)
    assert given == Release("it broke", AttemptOutcome.REFUSED, not_before_ms=0, counts=False)
    after = apply(record, given, NOW, RULES).record
    assert (after.waiting, after.attempts_counted) == (True, counted - 1)


def test_an_ambiguous_attempt_is_not_repeated_unless_the_task_is_idempotent() -> None:
    given = plan(running(idempotent=False), failure(AttemptOutcome.AMBIGUOUS), NOW, 0.5, RULES)
    assert isinstance(given, Fail)
    assert given.details == b'{"reason":"ambiguous","attempt":1}'
    again = plan(running(idempotent=True), failure(AttemptOutcome.AMBIGUOUS), NOW, 0.5, RULES)
    assert again == Release("it broke", AttemptOutcome.AMBIGUOUS, NOW + 500)


def test_attempts_end_at_their_limit() -> None:
    record = running(idempotent=True, counted=3)
    assert isinstance(plan(record, failure(AttemptOutcome.AMBIGUOUS), NOW, 0.5, RULES), Fail)


def test_a_rejected_attempt_is_final_unless_the_server_says_it_is_retryable() -> None:
    rejected = AttemptOutcome.REJECTED
    assert isinstance(plan(running(), failure(rejected), NOW, 0.5, RULES), Fail)
    assert isinstance(plan(running(), failure(rejected, retryable=True), NOW, 0.5, RULES), Release)


@given(st.integers(0, 1_000), st.floats(0, 1))
def test_the_back_off_doubles_up_to_its_cap_with_full_jitter(attempts: int, jitter: float) -> None:
    wait = backoff_ms(attempts, jitter, RULES)
    assert 0 <= wait <= RULES.backoff_longest_ms
    assert wait <= backoff_ms(attempts + 1, jitter, RULES)


def lost_before(*losses_ms: int, idempotent: bool = True) -> TaskRecord:
    return running(idempotent=idempotent)._replace(losses=losses_ms)


LOST = failure(AttemptOutcome.LOST)


def test_a_task_whose_server_died_goes_elsewhere_at_once_and_that_does_not_count() -> None:
    given = plan(lost_before(), LOST, NOW, 0.5, RULES)
    assert given == Release("it broke", AttemptOutcome.LOST, not_before_ms=0, counts=False)


def test_a_task_that_is_not_idempotent_ends_with_its_server() -> None:
    given = plan(lost_before(idempotent=False), LOST, NOW, 0.5, RULES)
    assert isinstance(given, Fail)
    assert given.details == b'{"reason":"lost","attempt":1,"serverId":"srv_1"}'
    assert given.outcome is AttemptOutcome.LOST


def test_the_third_server_that_dies_within_72_hours_ends_a_task_as_poison() -> None:
    given = plan(lost_before(NOW - 2, NOW - 1), LOST, NOW, 0.5, RULES)
    assert isinstance(given, Fail)
    assert given.details is not None
    assert b'"reason":"poison"' in given.details
    long_past = NOW - RULES.poison_window_ms
    assert isinstance(plan(lost_before(long_past, NOW - 1), LOST, NOW, 0.5, RULES), Release)


def test_how_often_and_how_long_is_for_the_rules_to_say() -> None:
    rules = replace(
        RULES, backoff_first_ms=10, backoff_longest_ms=35, poison_losses=2, poison_window_ms=5
    )
    assert [backoff_ms(attempts, 1, rules) for attempts in range(1, 5)] == [10, 20, 35, 35]
    poisoned = plan(lost_before(NOW - 4), LOST, NOW, 0.5, rules)
    assert isinstance(poisoned, Fail)
    assert poisoned.error.startswith("2 servers died with the task")
    assert isinstance(plan(lost_before(NOW - 5), LOST, NOW, 0.5, rules), Release)
    losing = running(idempotent=True)._replace(losses=(1, 2))
    after = apply(losing, Release("lost", AttemptOutcome.LOST, 0), NOW, rules).record
    assert after.losses == (2, NOW)


def told(loss: Loss, details: bytes | None = None) -> Failure:
    return Failure(LOSSES[loss], "it broke", "BROKEN", details, digest=b"report", loss=loss)


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("counted", [1, 3])
def test_what_a_server_gave_back_unstarted_goes_to_another_at_once_and_does_not_count(
    counted: int, *, idempotent: bool
) -> None:
    record = running(idempotent=idempotent, counted=counted)
    given = plan(record, told(Loss.NOT_STARTED), NOW, 0.5, RULES)
    assert given == Release("it broke", AttemptOutcome.REFUSED, not_before_ms=0, counts=False)


def test_what_a_server_broke_off_goes_again_uncounted_if_it_is_idempotent() -> None:
    interrupted = told(Loss.INTERRUPTED)
    given = plan(running(idempotent=True, counted=3), interrupted, NOW, 0.5, RULES)
    assert given == Release("it broke", AttemptOutcome.AMBIGUOUS, not_before_ms=0, counts=False)
    given = plan(running(idempotent=False), interrupted, NOW, 0.5, RULES)
    details = b'{"reason":"interrupted","attempt":1,"serverId":"srv_1"}'
    assert given == Fail("it broke", "BROKEN", details, AttemptOutcome.AMBIGUOUS, b"report")


def test_a_process_that_died_counts_as_a_server_that_died() -> None:
    died = told(Loss.PROCESS_DIED, b'{"signal":9}')
    given = plan(lost_before(), died, NOW, 0.5, RULES)
    assert given == Release("it broke", AttemptOutcome.LOST, not_before_ms=0, counts=False)
    given = plan(lost_before(idempotent=False), died, NOW, 0.5, RULES)
    assert isinstance(given, Fail)
    assert given.details == (
        b'{"reason":"process_died","attempt":1,"serverId":"srv_1","details":{"signal":9}}'
    )
    assert given.digest == b"report"
    given = plan(lost_before(NOW - 2, NOW - 1), died, NOW, 0.5, RULES)
    assert isinstance(given, Fail)
    assert given.details is not None
    assert b'"reason":"poison"' in given.details
