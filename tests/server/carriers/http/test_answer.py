import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.carriers.http.answer import read_answer
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept, Cancel, Expire, Input, Succeed
from inferry.server.task.record import AttemptOutcome
from inferry.server.task.reports import ReportRules

RULES = ReportRules(depth=128, largest=100_000)
TOKEN = "1.srv_01ARZ3NDEKTSV4RRFFQ69G5FAV.0123456789abcdefABCDEF-_"


def read(status: int, body: object, *, asynchronous: bool = True) -> Input | Failure:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(status, text, None, RULES, asynchronous=asynchronous)


def end(result: bytes) -> Succeed:
    """Makes the end that a result is, with the fingerprint of its report."""
    given = read(200, b'{"status":"success","result":%b}' % result)
    assert isinstance(given, Succeed)
    assert given.result == result
    return given


def test_the_guides_answers() -> None:
    assert read(200, {"status": "success", "result": {"a": 1}}) == end(b'{"a": 1}')
    said = {"status": "accepted", "message": "Task queued for processing"}
    assert read(202, said) == Accept("Task queued for processing")
    said = {
        "status": "error",
        "error": "Video format not supported",
        "code": "INVALID_FORMAT",
    }
    failure = read(200, said)
    assert isinstance(failure, Failure)
    assert (failure.outcome, failure.error, failure.code) == (
        AttemptOutcome.REJECTED,
        "Video format not supported",
        "INVALID_FORMAT",
    )


@pytest.mark.parametrize("status", [200, 400, 422, 500])
def test_the_standard_error_format_is_an_error_with_any_status(status: int) -> None:
    said = {"status": "FAILED", "error": "no", "code": "RESOURCE_LIMIT", "details": {"free": 0}}
    expected = Failure(AttemptOutcome.REJECTED, "no", "RESOURCE_LIMIT", b'{"free": 0}')
    failure = read(status, said)
    assert isinstance(failure, Failure)
    assert failure._replace(digest=b"") == expected


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
    [b"", b"<html>oops</html>", b"[]", b'"success"', b"{}", b'{"status":"DONE"}', b"\xff\xfe"],
)
def test_what_is_no_answer_fails_with_what_came_and_what_is_right(body: bytes) -> None:
    failure = read(200, body)
    assert isinstance(failure, Failure)
    assert failure.code == "INTERNAL_ERROR"
    right = ("no JSON, at position 0", "expected a JSON object", 'right is "success"')
    assert any(words in failure.error for words in right)


@pytest.mark.parametrize("word", ["success", "accepted"])
@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_good_word_under_a_bad_status_is_told_as_a_contradiction(word: str, status: int) -> None:
    failure = read(status, {"status": word})
    assert isinstance(failure, Failure)
    assert f'answered {status} with the status "{word}"; right with that is 200' in failure.error


def test_accepted_without_a_callback_url_is_no_answer() -> None:
    failure = read(200, {"status": "accepted"}, asynchronous=False)
    assert isinstance(failure, Failure)
    assert "callback_url" in failure.error


@pytest.mark.parametrize(
    "result",
    ["9007199254740993", "1e400", '{"z": 1,\n"a":[9223372036854775808]}', "[" * 128 + "]" * 128],
)
def test_a_result_passes_through_as_it_came(result: str) -> None:
    assert read(200, b'{"status":"success","result":%b}' % result.encode()) == end(result.encode())


@pytest.mark.parametrize(
    ("result", "reason"),
    [("NaN", "no JSON"), ("[" * 129 + "]" * 129, "128 levels"), ('{"a":1,"a":1}', "twice")],
)
def test_a_result_that_cannot_pass_is_the_end_with_a_reason(result: str, reason: str) -> None:
    failure = read(200, b'{"status":"success","result":%b}' % result.encode())
    assert isinstance(failure, Failure)
    assert (failure.outcome, failure.code) == (AttemptOutcome.REJECTED, "INVALID_PAYLOAD")
    assert failure.error.startswith("result: ")
    assert reason in failure.error


def test_a_result_that_is_too_large_is_the_end_with_a_reason() -> None:
    failure = read(200, {"status": "success", "result": "x" * 100_001})
    assert isinstance(failure, Failure)
    assert failure.code == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("levels", [1_000, 100_000])
def test_what_stands_beside_a_good_result_is_passed_over(levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    text = (
        b'{"debug":%b,"finished_at_ns":1764078000123456789,"gpu":NaN,"status":"success","result":1}'
    )
    assert read(200, text % deep) == end(b"1")


def test_an_error_of_many_causes_is_cut() -> None:
    cause = b"null"
    for _ in range(300):
        cause = b'{"cause":%b,"text":"something went wrong"}' % cause
    failure = read(200, b'{"status":"error","error":%b,"details":%b}' % (cause, cause))
    assert isinstance(failure, Failure)
    assert failure.error.startswith('{"cause":{"cause":')
    assert len(failure.error) == 4_096
    assert failure.details is not None
    assert json.loads(failure.details)["raw"] == failure.error


def test_error_code_and_details_of_an_answer_have_the_bounds_of_a_callback() -> None:
    failure = read(200, {"status": "error", "error": "x" * 3_000_000, "code": "y" * 3_000_000})
    assert isinstance(failure, Failure)
    assert (len(failure.error), len(failure.code)) == (4_096, 128)


@pytest.mark.parametrize("word", ["SUCCESS", " success", "Completed"])
def test_the_words_of_a_callback_and_of_any_case_are_words_of_an_answer(word: str) -> None:
    assert read(200, {"status": word, "result": 1}) == end(b"1")
    assert isinstance(read(200, {"status": "TIMEOUT"}), Expire)
    assert isinstance(read(200, {"status": "cancelled"}), Cancel)
    assert read(200, {"status": "PROCESSING"}) == Accept(None)


def test_an_answer_with_a_byte_order_mark_is_an_answer() -> None:
    assert read(200, b'\xef\xbb\xbf{"status":"success","result":1}') == end(b"1")


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_text_that_is_no_json_is_said_as_that(status: int) -> None:
    failure = read(status, b'{"status":"success","result":{"a":1}')
    assert isinstance(failure, Failure)
    assert f"answered {status} with no JSON, at position 36: " in failure.error
    assert "no status" not in failure.error


def test_an_error_that_may_be_repeated_says_when() -> None:
    body = b'{"status":"error","error":"cold","retryable":true}'
    failure = read_answer(500, body, 7_000, RULES, asynchronous=True)
    assert isinstance(failure, Failure)
    assert (failure.retryable, failure.retry_after_ms) == (True, 7_000)


def test_our_own_token_is_not_quoted() -> None:
    for status, body in (
        (200, {"status": "error", "error": TOKEN, "details": {"url": TOKEN}}),
        (200, {"status": "success", "result": {"request": TOKEN}}),
        (202, {"status": "accepted", "message": TOKEN}),
        (404, {"detail": TOKEN}),
        (503, {"error": TOKEN}),
    ):
        assert TOKEN not in repr(read(status, body))


@given(st.binary(max_size=64), st.integers(100, 599), st.booleans())
def test_whatever_comes_has_a_defined_end(body: bytes, status: int, asynchronous: bool) -> None:
    for text in (body, b'{"status":"success","result":%b,"error":%b}' % (body, body)):
        given = read_answer(status, text, None, RULES, asynchronous=asynchronous)
        assert isinstance(given, Accept | Cancel | Expire | Succeed | Failure)


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        ("not_started", AttemptOutcome.REFUSED),
        ("interrupted", AttemptOutcome.AMBIGUOUS),
        ("process_died", AttemptOutcome.LOST),
    ],
)
def test_an_answer_says_how_the_attempt_was_lost(loss: str, outcome: AttemptOutcome) -> None:
    failure = read(200, {"status": "FAILED", "loss": loss})
    assert isinstance(failure, Failure)
    assert failure.outcome is outcome
    assert failure.loss is not None
    assert failure.loss.name.lower() == loss
