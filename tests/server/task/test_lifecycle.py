"""Properties of the state table: every situation meets every input, then random lives."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.server.errors import IllegalTransitionError
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
from inferry.server.task.lifecycle import (
    RETRYABLE,
    STOPPED,
    TRANSITIONS,
    allowed,
    apply,
    create,
)
from inferry.server.task.record import AttemptOutcome, EventKind, Status, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import CREATED_MS, RULES, SITUATIONS, SPEC, lead_to

TEXT = st.text(max_size=8)
DIGEST = st.sampled_from([b"", b"report"])
JSON = st.sampled_from([None, b'{"frame":1}'])
LOSS = st.sampled_from([AttemptOutcome.REFUSED, AttemptOutcome.AMBIGUOUS, AttemptOutcome.LOST])
EXTENSION_MS = st.sampled_from([0, 1, 2 * SPEC.total_timeout_ms])
INPUTS: Mapping[type[Input], st.SearchStrategy[Input]] = {
    Claim: st.builds(Claim, st.sampled_from(["srv_1", "srv_2"])),
    Accept: st.builds(Accept, st.none() | TEXT),
    Progress: st.builds(
        Progress, st.none() | st.floats(), st.none() | TEXT, st.booleans(), EXTENSION_MS
    ),
    Succeed: st.builds(Succeed, st.just(b"42"), DIGEST),
    Fail: st.builds(Fail, TEXT, TEXT, JSON, st.just(AttemptOutcome.REJECTED), DIGEST),
    Release: st.builds(Release, TEXT, LOSS, st.integers(0, 2 * CREATED_MS), st.booleans()),
    Expire: st.builds(Expire, TEXT, st.just("TIMEOUT"), JSON, DIGEST),
    Cancel: st.builds(Cancel, TEXT, DIGEST),
    Hold: st.builds(Hold, TEXT),
    Misreport: st.builds(Misreport, TEXT),
    Retry: st.builds(Retry),
}
ELAPSED_MS = st.integers(0, 2 * SPEC.total_timeout_ms)

PAIRS = [(situation, kind) for situation in SITUATIONS for kind in INPUTS]
every_pair = pytest.mark.parametrize(
    ("situation", "kind"), PAIRS, ids=[f"{name}-{kind.__name__}" for name, kind in PAIRS]
)
# The machine's pace is no property of the table.
properties = settings(deadline=None, max_examples=30)


def assert_whole(record: TaskRecord) -> None:
    """What holds for every record, however it came about."""
    assert record.status.final == (record.finished_ms > 0) == (record.purge_ms > 0)
    assert record.status.final == (record.deadline_ms == 0)
    assert record.deadline_ms <= record.total_deadline_ms
    assert record.running == (record.attempt_deadline_ms > 0)
    assert not record.running or record.deadline_ms <= record.attempt_deadline_ms
    assert len(record.losses) <= RULES.poison_losses
    assert 0 <= record.progress <= 100
    assert 0 <= record.attempts_counted <= record.attempt
    assert record.status is not Status.PROCESSING or record.running
    assert record.status is not Status.COMPLETED or record.progress == 100


def assert_step(before: TaskRecord, given_: Input, done: Transition, now_ms: int) -> None:
    """What holds for every legal step."""
    after, event = done.record, done.event
    assert_whole(after)
    assert after.spec is before.spec
    assert (after.seq, after.updated_ms) == (before.seq + 1, now_ms)
    assert event.task_id == after.spec.id
    assert (event.seq, event.at_ms) == (after.seq, now_ms)
    assert (event.status, event.progress) == (after.status, after.progress)
    assert (event.attempt, event.server_id) == (after.attempt, after.server_id)
    assert (event.kind is EventKind.FINISHED) == (after.status.final and not before.status.final)
    assert after.attempt == before.attempt + isinstance(given_, Claim)
    if before.running and after.running:
        assert after.progress >= before.progress
    if before.running and not after.running:
        closed = done.closed
        assert closed is not None
        assert (closed.number, closed.server_id) == (before.attempt, before.server_id)
        assert (closed.started_ms, closed.ended_ms) == (before.started_ms, now_ms)
        assert closed.outcome is not AttemptOutcome.RUNNING
    else:
        assert done.closed is None
    if isinstance(given_, Claim | Accept | Progress | Release):
        assert done.outcome is None


@every_pair
@properties
@given(data=st.data())
def test_a_legal_input_leads_where_the_table_says_and_any_other_is_refused(
    situation: str, kind: type[Input], data: st.DataObject
) -> None:
    record = lead_to(situation)
    step = data.draw(INPUTS[kind])
    now_ms = CREATED_MS + data.draw(ELAPSED_MS)
    if kind in SITUATIONS[situation][1]:
        done = apply(record, step, now_ms, RULES)
        queued = isinstance(step, Progress) and not step.working
        assert done.record.status is (record.status if queued else TRANSITIONS[record.status, kind])
        assert_step(record, step, done, now_ms)
    else:
        with pytest.raises(IllegalTransitionError) as refused:
            apply(record, step, now_ms, RULES)
        details = {"status": record.status.name, "allowed": allowed(record)}
        assert refused.value.details == details


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_allowed_statuses_are_those_that_legal_inputs_lead_to(situation: str) -> None:
    record = lead_to(situation)
    reached = {TRANSITIONS[record.status, kind] for kind in SITUATIONS[situation][1]}
    assert allowed(record) == sorted(status.name for status in reached - {record.status})


@settings(deadline=None)
@given(
    not_before_ms=st.just(0) | st.integers(CREATED_MS, CREATED_MS + SPEC.total_timeout_ms),
    steps=st.lists(st.tuples(st.one_of(*INPUTS.values()), ELAPSED_MS), max_size=30),
)
def test_every_life_keeps_the_invariants(
    not_before_ms: int, steps: list[tuple[Input, int]]
) -> None:
    record, event = create(SPEC, not_before_ms)
    assert (event.kind, event.seq, record.waiting) == (EventKind.CREATED, 1, True)
    assert_whole(record)
    now_ms = CREATED_MS
    for step, elapsed_ms in steps:
        now_ms += elapsed_ms
        try:
            done = apply(record, step, now_ms, RULES)
        except IllegalTransitionError:
            continue
        assert_step(record, step, done, now_ms)
        record = done.record


def test_every_line_of_the_table_is_met_by_some_situation() -> None:
    met = {
        (lead_to(situation).status, kind)
        for situation, (_, kinds) in SITUATIONS.items()
        for kind in kinds
    }
    assert met == set(TRANSITIONS)


def test_only_a_retry_leaves_a_final_status() -> None:
    left = {
        status
        for (status, kind), target in TRANSITIONS.items()
        if kind is not Retry and target is not status
    }
    assert {status for status in Status if status.final} == set(Status) - left


def test_what_is_stopped_and_what_can_be_retried_follow_from_the_table() -> None:
    assert {Status.TIMEOUT, Status.CANCELLED} == STOPPED
    assert (Status.FAILED, Status.TIMEOUT, Status.CANCELLED) == RETRYABLE
