import json
import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.errors import InvalidPayloadError
from inferry.server.rpc.json_values import (
    json_to_struct,
    json_to_value,
    struct_to_json,
    to_struct,
    value_to_json,
)
from inferry.server.task.json_text import DEPTH_LIMIT
from inferry.v1.task_service_pb2 import WatchTaskResponse

EXACT = 2**53

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
objects = st.dictionaries(st.text(), values)


def nested(levels: int, leaf: str = "1") -> bytes:
    return ('{"a":' * levels + leaf + "}" * levels).encode()


@given(values)
def test_any_json_value_comes_back_as_it_was(plain: Any) -> None:
    text = json.dumps(plain).encode()
    assert json.loads(value_to_json(json_to_value(text))) == plain


@given(objects)
def test_any_json_object_comes_back_as_it_was(plain: dict[str, Any]) -> None:
    text = json.dumps(plain).encode()
    assert json.loads(struct_to_json(json_to_struct(text))) == plain
    assert to_struct(plain) == json_to_struct(text)


@given(values)
def test_what_was_written_can_be_read_again(plain: Any) -> None:
    text = value_to_json(json_to_value(json.dumps(plain).encode()))
    again = value_to_json(json_to_value(text))
    assert json.loads(again) == json.loads(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (45.0, b"45"),
        (180.5, b"180.5"),
        (-3.0, b"-3"),
        (float(EXACT), b"9007199254740992"),
        (-float(EXACT), b"-9007199254740992"),
    ],
)
def test_whole_numbers_print_as_integers(number: float, text: bytes) -> None:
    assert value_to_json(Value(number_value=number)) == text


@pytest.mark.parametrize("number", [2.0**53 + 2, 2.0**60, 1e22, -1e300])
def test_whole_numbers_beyond_the_exact_ones_print_as_floats(number: float) -> None:
    text = value_to_json(Value(number_value=number))
    assert isinstance(json.loads(text), float)
    assert json.loads(text) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    with pytest.raises(InvalidPayloadError, match="JSON has no"):
        value_to_json(Value(number_value=number))
    with pytest.raises(InvalidPayloadError, match="JSON has no"):
        to_struct({"a": number})


@pytest.mark.parametrize(
    "text",
    [
        b"9007199254740993",
        b"-9007199254740993",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-9223372036854775809",
        b'{"a": [1, 1180591620717411303424]}',
        b"[1e300, 100000000000000000000]",
    ],
)
def test_integers_that_a_double_would_round_are_refused(text: bytes) -> None:
    with pytest.raises(InvalidPayloadError, match="send them as strings"):
        json_to_value(text)


def test_large_floats_are_no_integers() -> None:
    assert json_to_value(b"1e300").number_value == 1e300
    assert json_to_value(b"[1e300, -1e300, 1]").list_value.values[1].number_value == -1e300


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"nul", b"\xff", b'"\\ud800"', b"[1,]"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidPayloadError, match="expected JSON"):
        json_to_value(text)


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"a"'])
def test_a_struct_is_a_json_object(text: bytes) -> None:
    with pytest.raises(InvalidPayloadError, match="expected a JSON object"):
        json_to_struct(text)


def test_what_is_no_json_in_python_either_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        to_struct({"a": object()})


def test_empty_objects_and_lists_are_kept() -> None:
    assert value_to_json(json_to_value(b'[{}, [], {"a": []}]')) == b'[{},[],{"a":[]}]'
    assert struct_to_json(Struct()) == b"{}"


def test_a_value_that_says_nothing_is_null() -> None:
    assert value_to_json(Value(list_value=ListValue(values=[Value()]))) == b"[null]"


def test_the_deepest_json_travels_in_the_deepest_message() -> None:
    sent = WatchTaskResponse()
    sent.event.task.result.CopyFrom(json_to_value(nested(DEPTH_LIMIT)))
    sent.event.task.payload.CopyFrom(json_to_struct(nested(DEPTH_LIMIT)))
    came = WatchTaskResponse.FromString(sent.SerializeToString())
    assert value_to_json(came.event.task.result) == nested(DEPTH_LIMIT)
    assert struct_to_json(came.event.task.payload) == nested(DEPTH_LIMIT)


@pytest.mark.parametrize("levels", [DEPTH_LIMIT + 1, 500])
@pytest.mark.parametrize("leaf", ["1", "{}", "[]", '"a"'])
def test_deeper_json_is_refused(levels: int, leaf: str) -> None:
    for text in (nested(levels, leaf), b"[" * levels + leaf.encode() + b"]" * levels):
        with pytest.raises(InvalidPayloadError, match="deeper than 32"):
            json_to_value(text)
    with pytest.raises(InvalidPayloadError, match="deeper than 32"):
        json_to_struct(nested(levels, leaf))


def test_deep_json_beside_a_large_float_is_refused_as_well() -> None:
    with pytest.raises(InvalidPayloadError, match="deeper than 32"):
        json_to_value(b"[1e300," + nested(1_000) + b"]")


def test_a_message_nested_too_deeply_is_refused() -> None:
    value = Value(number_value=1)
    for _ in range(DEPTH_LIMIT):
        value = Value(struct_value=Struct(fields={"a": value}))
    assert value_to_json(value) == nested(DEPTH_LIMIT)
    with pytest.raises(InvalidPayloadError, match="deeper than 32"):
        struct_to_json(Struct(fields={"a": value}))
    with pytest.raises(InvalidPayloadError, match="deeper than 32"):
        value_to_json(Value(list_value=ListValue(values=[value])))
