import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.carriers.http.answer import read_answer
from inferry.server.errors import StaleAttemptError
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept, Cancel, Claim, Expire, Input, Progress, Succeed
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, Status, TaskRecord
from inferry.server.task.reports import Report, interpret
from tests.server.situations import RULES, SPEC

NOW = SPEC.created_ms
COMPLETED = Report(Status.COMPLETED, result=b'{"a":1}')


def after(*inputs: Input) -> TaskRecord:
    record = create(SPEC, 0)[0]
    for one in (Claim("srv_1"), *inputs):
        record = apply(record, one, NOW, RULES).record
    return record


def finished(report: Report) -> TaskRecord:
    given = interpret(after(), 1, report)
    assert given is not None
    assert not isinstance(given, Failure)
    return after(given)


def test_each_status_word_of_the_guide_has_a_meaning() -> None:
    meanings = {
        status: type(interpret(after(), 1, Report(status, result=b"1"))) for status in Status
    }
    assert meanings == {
        Status.PENDING: Progress,
        Status.PROCESSING: Progress,
        Status.COMPLETED: Succeed,
        Status.FAILED: Failure,
        Status.TIMEOUT: Expire,
        Status.CANCELLED: Cancel,
    }


def test_a_completed_report_without_a_result_has_the_result_null() -> None:
    given = interpret(after(), 1, Report(Status.COMPLETED))
    assert isinstance(given, Succeed)
    assert given.result == b"null"


@pytest.mark.parametrize("attempt", [0, 2, 17])
def test_a_report_of_another_attempt_is_stale_whatever_the_status(attempt: int) -> None:
    for record in (after(), after(Progress(5)), finished(COMPLETED)):
        with pytest.raises(StaleAttemptError) as caught:
            interpret(record, attempt, COMPLETED)
        assert caught.value.details == {
            "attempt": attempt,
            "current": 1,
            "status": record.status.name,
        }


def test_a_report_of_an_attempt_that_was_given_up_is_stale() -> None:
    waiting = after()._replace(server_id=None)
    with pytest.raises(StaleAttemptError):
        interpret(waiting, 1, COMPLETED)


def test_the_same_final_report_again_changes_nothing() -> None:
    assert interpret(finished(COMPLETED), 1, COMPLETED) is None


def test_another_final_report_is_not_taken_for_the_same() -> None:
    record = finished(COMPLETED)
    for other in (
        replace(COMPLETED, result=b'{"a":2}'),
        Report(Status.FAILED, error="x"),
        Report(Status.CANCELLED),
    ):
        assert interpret(record, 1, other) is not None


@given(st.binary(max_size=4), st.text(max_size=4), st.text(max_size=4), st.binary(max_size=4))
def test_digests_do_not_confuse_neighbouring_fields(
    result: bytes, error: str, code: str, details: bytes
) -> None:
    plain = Report(Status.FAILED, result=result, error=error, code=code, details=details)
    moved = Report(Status.FAILED, result=result, error=error + code, code="", details=details)
    assert (plain.digest == moved.digest) == (code == "")


def test_progress_on_a_task_that_was_stopped_is_no_error() -> None:
    for stop in (Cancel("enough"), Expire("too long")):
        assert interpret(after(stop), 1, Report(Status.PROCESSING, 50)) is None


def test_a_backend_may_confirm_that_it_stopped() -> None:
    assert interpret(after(Cancel("enough")), 1, Report(Status.CANCELLED)) is None
    assert interpret(after(Expire("late")), 1, Report(Status.TIMEOUT)) is None


def test_the_first_late_result_counts_and_the_same_again_changes_nothing() -> None:
    late = interpret(after(Expire("late")), 1, COMPLETED)
    assert isinstance(late, Succeed)
    kept = after(Expire("late"), late)
    assert kept.status is Status.TIMEOUT
    assert interpret(kept, 1, COMPLETED) is None


def read(status: int, body: object, *, asynchronous: bool = True) -> Accept | Succeed | Failure:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(status, text, None, asynchronous=asynchronous)


def test_the_guides_answers() -> None:
    assert read(200, {"status": "success", "result": {"a": 1}}) == Succeed(b'{"a":1}')
    said = {"status": "accepted", "message": "Task queued for processing"}
    assert read(202, said) == Accept("Task queued for processing")
    said = {
        "status": "error",
        "error": "Video format not supported",
        "code": "INVALID_FORMAT",
    }
    assert read(200, said) == Failure(
        AttemptOutcome.REJECTED, "Video format not supported", "INVALID_FORMAT"
    )


@pytest.mark.parametrize("status", [200, 400, 422, 500])
def test_the_standard_error_format_is_an_error_with_any_status(status: int) -> None:
    said = {"status": "FAILED", "error": "no", "code": "RESOURCE_LIMIT", "details": {"free": 0}}
    expected = Failure(AttemptOutcome.REJECTED, "no", "RESOURCE_LIMIT", b'{"free":0}')
    assert read(status, said) == expected


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (429, AttemptOutcome.REFUSED),
        (503, AttemptOutcome.REFUSED),
        (502, AttemptOutcome.AMBIGUOUS),
        (504, AttemptOutcome.AMBIGUOUS),
        (301, AttemptOutcome.REJECTED),
        (400, AttemptOutcome.REJECTED),
        (404, AttemptOutcome.REJECTED),
        (500, AttemptOutcome.REJECTED),
    ],
)
def test_a_status_without_a_body_has_its_class(status: int, outcome: AttemptOutcome) -> None:
    failure = read(status, b"")
    assert isinstance(failure, Failure)
    assert (failure.outcome, failure.code) == (outcome, "INTERNAL_ERROR")
    assert str(status) in failure.error


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>oops</html>", b"[]", b'"success"', b"{}", b'{"status":"SUCCESS"}', b"\xff\xfe"],
)
def test_what_is_no_answer_fails_with_what_came_and_what_is_right(body: bytes) -> None:
    failure = read(200, body)
    assert isinstance(failure, Failure)
    assert failure.code == "INTERNAL_ERROR"
    assert '"success"' in failure.error


def test_accepted_without_a_callback_url_is_no_answer() -> None:
    failure = read(200, {"status": "accepted"}, asynchronous=False)
    assert isinstance(failure, Failure)
    assert "callback_url" in failure.error


@pytest.mark.parametrize("result", [2**53 + 1, [2**60], {"a": {"b": -(2**62)}}, 10**30])
def test_a_result_that_json_cannot_hold_exactly_is_refused(result: object) -> None:
    failure = read(200, {"status": "success", "result": result})
    assert isinstance(failure, Failure)
    assert failure.code == "INVALID_PAYLOAD"
    assert "strings" in failure.error


def test_a_result_may_be_32_levels_deep_and_not_33() -> None:
    def nested(levels: int) -> bytes:
        return b'{"status":"success","result":%b}' % (b"[" * levels + b"]" * levels)

    assert isinstance(read(200, nested(32)), Succeed)
    assert isinstance(read(200, nested(33)), Failure)


@given(st.binary(max_size=64), st.integers(100, 599), st.booleans())
def test_whatever_comes_has_a_defined_end(body: bytes, status: int, asynchronous: bool) -> None:
    given = read_answer(status, body, None, asynchronous=asynchronous)
    assert isinstance(given, Accept | Succeed | Failure)
