from typing import Any

import orjson
import pytest

from inferry.cli.mock.script import End, Script, ScriptError, read_script


def script_of(payload: Any) -> Script:
    return read_script(orjson.dumps(payload))


def test_a_plain_payload_is_echoed_at_once() -> None:
    script = script_of({"test": "data"})
    assert script.result == b'{"echo":{"test":"data"}}'
    assert (script.seconds, script.steps, script.end) == (0, 0, End.COMPLETE)


def test_work_that_takes_time_reports_on_the_way() -> None:
    assert script_of({"seconds": 2}).steps == 4
    assert script_of({"seconds": 2, "steps": 10}).steps == 10


def test_a_result_may_be_any_json_value() -> None:
    assert script_of({"result": None}).result == b"null"
    assert script_of({"result": [1]}).result == b"[1]"


@pytest.mark.parametrize("text", [b'{"b": 9223372036854775808, "a": 1.10}', b'{"x":1e400 }'])
def test_what_it_echoes_or_returns_is_the_text_that_was_given(text: bytes) -> None:
    assert read_script(text).result == b'{"echo":%b}' % text
    assert read_script(b'{"seconds": 1, "result": %b}' % text).result == text


def test_a_failure_says_what_the_script_says() -> None:
    script = script_of({"end": "fail", "error": "no such codec", "code": "INVALID_FORMAT"})
    assert (script.end, script.error, script.code) == (
        End.FAIL,
        "no such codec",
        "INVALID_FORMAT",
    )
    assert script_of({"end": "fail"}).code == "INTERNAL_ERROR"
    assert script_of({"end": "timeout"}).code == "TIMEOUT"


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"seconds": "soon"}, "seconds"),
        ({"seconds": -1}, "seconds"),
        ({"steps": True}, "steps"),
        ({"flaky": None}, "flaky"),
        ({"end": "explode"}, "end"),
        ({"end": ["fail"]}, "end"),
        ([], "payload"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(payload: Any, field: str) -> None:
    with pytest.raises(ScriptError, match=f"^{field}: expected"):
        script_of(payload)
