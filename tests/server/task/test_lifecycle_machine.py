"""A task among a gateway, a server and a client, in any order and at any time.

What the table cannot say of a single step: that a life as a whole keeps what is promised.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferry.server.errors import IllegalTransitionError, StaleAttemptError
from inferry.server.task.deadlines import expiry
from inferry.server.task.failure import Failure, plan
from inferry.server.task.inputs import Cancel, Claim, Fail, Hold, Input, Release, Retry
from inferry.server.task.lifecycle import STOPPED, apply, create
from inferry.server.task.record import AttemptOutcome, Status
from inferry.server.task.reports import Report, interpret
from tests.server.situations import CREATED_MS, RULES, SPEC

FAILURES = st.sampled_from(
    [
        AttemptOutcome.REFUSED,
        AttemptOutcome.AMBIGUOUS,
        AttemptOutcome.LOST,
        AttemptOutcome.REJECTED,
    ]
)
REPORTS = st.builds(
    Report,
    st.sampled_from(Status),
    progress=st.none() | st.floats(0, 100),
    result=st.sampled_from([b"1", b"2"]),
    error=st.sampled_from(["", "broken"]),
    retryable=st.booleans(),
    extend_ms=st.sampled_from([0, 60_000]),
)


class Life(RuleBasedStateMachine):
    """One task; the rules are all that anybody can do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = CREATED_MS
        self.spec = SPEC
        self.record, first = create(self.spec, 0)
        self.seqs = [first.seq]
        #: Attempts that may have run, and those that have ended.
        self.runs = 0
        self.ended: set[int] = set()
        self.completed: bytes | None = None

    def step(self, given: Input | None) -> None:
        if given is None:
            return
        done = apply(self.record, given, self.now_ms, RULES)
        self.seqs.append(done.event.seq)
        if done.closed is not None:
            assert done.closed.number not in self.ended
            self.ended.add(done.closed.number)
            self.runs += done.closed.outcome is not AttemptOutcome.REFUSED
        self.record = done.record

    @rule(idempotent=st.booleans(), silence_ms=st.sampled_from([0, 30_000]))
    @precondition(lambda self: self.record.seq == 1)
    def is_of_another_kind(self, *, idempotent: bool, silence_ms: int) -> None:
        self.spec = SPEC._replace(idempotent=idempotent, silence_timeout_ms=silence_ms)
        self.record, _ = create(self.spec, 0)

    @rule(elapsed_ms=st.sampled_from([1, 1_000, 60_000, 400_000, 80_000_000]))
    def time_passes(self, elapsed_ms: int) -> None:
        self.now_ms += elapsed_ms
        if 0 < self.record.deadline_ms <= self.now_ms:
            self.step(expiry(self.record, self.now_ms, RULES))
            assert self.record.status is Status.TIMEOUT

    @rule(server_id=st.sampled_from(["srv_1", "srv_2"]))
    @precondition(lambda self: self.record.waiting)
    def a_server_gets_it(self, server_id: str) -> None:
        self.step(Claim(server_id))

    @rule(outcome=FAILURES, retryable=st.booleans(), jitter=st.floats(0, 1))
    @precondition(lambda self: self.record.running)
    def an_attempt_fails(self, outcome: AttemptOutcome, jitter: float, *, retryable: bool) -> None:
        failure = Failure(outcome, "it broke", retryable=retryable)
        what = plan(self.record, failure, self.now_ms, jitter, RULES)
        if isinstance(what, Release) and outcome is not AttemptOutcome.REFUSED:
            # Nobody who may have run it gets it again against its creator's word.
            assert self.spec.idempotent or (outcome is AttemptOutcome.REJECTED and retryable)
        if isinstance(what, Fail) and outcome is AttemptOutcome.LOST and self.spec.idempotent:
            assert len(self.record.losses) + 1 >= RULES.poison_losses
        self.step(what)

    @rule(report=REPORTS, attempt=st.none() | st.integers(1, 4), jitter=st.floats(0, 1))
    def somebody_reports(self, report: Report, attempt: int | None, jitter: float) -> None:
        before = self.record
        try:
            given = interpret(before, attempt, report)
            if isinstance(given, Failure):
                given = plan(before, given, self.now_ms, jitter, RULES)
            self.step(given)
        except (IllegalTransitionError, StaleAttemptError):
            assert self.record is before
        else:
            # Only the latest attempt has a say, and none has while the task waits.
            assert attempt in (None, before.attempt)
            assert not before.waiting
        if before.status.final:
            assert self.record.status is before.status
            assert before.status in STOPPED or report.status.final or self.record is before

    @rule()
    @precondition(lambda self: not self.record.status.final)
    def a_client_cancels(self) -> None:
        self.step(Cancel())
        assert self.record.status is Status.CANCELLED

    @rule()
    def a_client_retries(self) -> None:
        if self.record.status in (Status.FAILED, Status.TIMEOUT, Status.CANCELLED):
            self.step(Retry())
            assert self.record.waiting
        else:
            with pytest.raises(IllegalTransitionError):
                apply(self.record, Retry(), self.now_ms, RULES)

    @rule()
    @precondition(lambda self: self.record.waiting)
    def its_type_is_paused(self) -> None:
        queued_ms = self.record.queued_ms
        self.step(Hold("paused"))
        assert self.record.queued_ms == queued_ms

    @invariant()
    def events_have_no_holes(self) -> None:
        assert self.seqs == list(range(1, self.record.seq + 1))

    @invariant()
    def every_attempt_ends_once(self) -> None:
        open_ = {self.record.attempt} if self.record.running else set()
        assert self.ended == set(range(1, self.record.attempt + 1)) - open_

    @invariant()
    def success_is_final(self) -> None:
        if self.record.status is Status.COMPLETED:
            self.completed = self.completed or self.record.digest
            assert self.record.digest == self.completed
        assert self.completed is None or self.record.status is Status.COMPLETED

    @invariant()
    def it_never_waits_or_runs_without_a_timeout(self) -> None:
        record = self.record
        assert record.status.final or self.now_ms <= record.total_deadline_ms
        assert record.status.final or self.now_ms < record.deadline_ms

    @invariant()
    def attempts_that_count_have_a_limit(self) -> None:
        assert self.record.attempts_counted <= self.spec.max_attempts


Life.TestCase.settings = settings(deadline=None, max_examples=200, stateful_step_count=30)
TestLife = Life.TestCase
