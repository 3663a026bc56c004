import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.errors import FieldError
from inferry.wire.words import Words, read_words


def said(**fields: Any) -> Words:
    return read_words(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", Task.COMPLETED),
        ("error", Task.FAILED),
        ("accepted", Task.PROCESSING),
        ("COMPLETED", Task.COMPLETED),
        ("completed", Task.COMPLETED),
        (" Failed\n", Task.FAILED),
        ("timeout", Task.TIMEOUT),
        ("CANCELLED", Task.CANCELLED),
        ("PENDING", Task.PENDING),
        ("done", Task.STATUS_UNSPECIFIED),
        ("STATUS_UNSPECIFIED", Task.STATUS_UNSPECIFIED),
        (3, Task.STATUS_UNSPECIFIED),
        ({"a": 1}, Task.STATUS_UNSPECIFIED),
    ],
)
def test_both_sets_of_words_are_taken_in_any_case(word: Any, status: int) -> None:
    assert said(status=word).update.status == status


def test_a_word_that_is_not_known_can_be_quoted() -> None:
    assert said(status="done").status == '"done"'
    assert said(result=1).status == ""


def test_a_result_and_details_stand_there_as_they_came() -> None:
    text = b'{"result": {"z":1e400, "a":[1,\n2]}, "details": {"b":1,"a":2}}'
    update = read_words(text).update
    assert update.result_json == b'{"z":1e400, "a":[1,\n2]}'
    assert update.details_json == b'{"b":1,"a":2}'


def test_a_null_is_a_result_and_nothing_else() -> None:
    nothing = dict.fromkeys(("progress", "message", "error", "code", "details", "retryable"))
    assert said(result=None, **nothing).update == TaskUpdate(result_json=b"null")


@pytest.mark.parametrize(
    ("value", "progress"), [(45, 45), ("45.5", 45.5), ("45%", 45), (" 100 % ", 100), (-3, -3)]
)
def test_progress_may_be_a_text(value: Any, progress: float) -> None:
    assert said(progress=value).update.progress == progress


@pytest.mark.parametrize("value", ["half", True, [], {"a": 1}, "nan", "1e999"])
def test_progress_that_is_none_is_left_out_with_a_note(value: Any) -> None:
    words = said(status="COMPLETED", progress=value)
    assert words.update == TaskUpdate(status=Task.COMPLETED)
    assert words.notes[0].startswith("progress ")


@pytest.mark.parametrize(
    ("value", "retryable"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), ("0", False)],
)
def test_retryable_may_be_a_text_or_a_number(value: Any, retryable: bool) -> None:
    assert said(retryable=value).update.retryable is retryable


@pytest.mark.parametrize("name", [b"\xff", b"\\x", b"\\ud800", b"status ", b"\\u0053tatus"])
def test_a_name_that_cannot_be_read_costs_nothing_beside_it(name: bytes) -> None:
    update = read_words(b'{"%b":"FAILED","status":"COMPLETED","result":1}' % name).update
    assert update == TaskUpdate(status=Task.COMPLETED, result_json=b"1")


def test_what_cannot_be_read_costs_nothing_beside_it() -> None:
    words = said(status="FAILED", error="no", retryable="perhaps", extend_ms="soon", progress="?")
    assert words.update == TaskUpdate(status=Task.FAILED, error="no")
    assert len(words.notes) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("out of memory", "out of memory"),
        ({"why": [1, "x"]}, '{"why": [1, "x"]}'),
        (422, "422"),
        (True, "true"),
        ("x" * 5_000, "x" * 4_096),
        ({"x": "y" * 5_000}, '{"x": "' + "y" * 4_089),
    ],
)
def test_an_error_may_be_anything_and_has_a_bound(value: Any, text: str) -> None:
    assert said(error=value, message=value).update == TaskUpdate(error=text, message=text)


def test_a_code_may_be_a_number_and_has_a_bound() -> None:
    assert said(code=422).update.code == "422"
    assert said(code="C" * 500).update.code == "C" * 128


def test_half_of_a_surrogate_pair_in_a_text_is_replaced() -> None:
    assert read_words(b'{"error":"\\ud83d cut"}').update.error == "? cut"
    assert read_words(b'{"error":"\xff"}').update.error == '"\ufffd"'


def test_how_an_attempt_was_lost_is_read_and_what_is_no_loss_left_out() -> None:
    assert read_words(b'{"status":"FAILED","loss":"interrupted"}').update.loss == (
        TaskUpdate.INTERRUPTED
    )
    words = read_words(b'{"status":"FAILED","loss":"somehow"}')
    assert words.update.loss == TaskUpdate.LOSS_UNSPECIFIED
    assert words.notes == ['loss "somehow" is none of NOT_STARTED, INTERRUPTED, PROCESS_DIED']


def test_the_end_counts_whatever_stands_beside_it() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    text = (
        b'\xef\xbb\xbf{"finished_at_ns": 1764078000123456789, "debug":%b, "gpu":NaN, '
        b'"gpu":-Infinity, "error":%b, "status":"success", "result": {"ok":true}, "\\ud800": oops}'
    )
    words = read_words(text % (deep, deep))
    assert words.update.status == Task.COMPLETED
    assert words.update.result_json == b'{"ok":true}'
    assert words.update.error == "[" * 4_096


@pytest.mark.parametrize("text", [b"", b"OK", b"[]", b'"success"', b'{"status":"success"', b"\xff"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(FieldError):
        read_words(text)


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_refused(text: bytes) -> None:
    for one in (text, b'{"status":%b,"progress":%b,"error":"%b"}' % (text, text, text)):
        try:
            read_words(one).update.SerializeToString()
        except FieldError:
            continue


@pytest.mark.parametrize("word", ["process_died", "PROCESS_DIED", " Process_Died "])
def test_how_an_attempt_was_lost_is_a_word_in_any_case(word: str) -> None:
    assert said(status="FAILED", loss=word).update.loss == TaskUpdate.PROCESS_DIED


def test_a_loss_that_is_none_is_left_out_with_a_note() -> None:
    words = said(status="FAILED", loss="burnt")
    assert words.update.loss == TaskUpdate.LOSS_UNSPECIFIED
    assert words.notes == ['loss "burnt" is none of NOT_STARTED, INTERRUPTED, PROCESS_DIED']
