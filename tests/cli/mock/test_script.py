from typing import Any

import pytest

from inferry.cli.mock.script import End, ScriptError, read_script


def test_a_plain_payload_is_echoed_at_once() -> None:
    script = read_script({"test": "data"})
    assert script.result == {"echo": {"test": "data"}}
    assert (script.seconds, script.steps, script.end) == (0, 0, End.COMPLETE)


def test_work_that_takes_time_reports_on_the_way() -> None:
    assert read_script({"seconds": 2}).steps == 4
    assert read_script({"seconds": 2, "steps": 10}).steps == 10


def test_a_result_may_be_any_json_value() -> None:
    assert read_script({"result": None}).result is None
    assert read_script({"result": [1]}).result == [1]


def test_a_failure_says_what_the_script_says() -> None:
    script = read_script({"end": "fail", "error": "no such codec", "code": "INVALID_FORMAT"})
    assert (script.end, script.error, script.code) == (
        End.FAIL,
        "no such codec",
        "INVALID_FORMAT",
    )
    assert read_script({"end": "fail"}).code == "INTERNAL_ERROR"
    assert read_script({"end": "timeout"}).code == "TIMEOUT"


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
        read_script(payload)
