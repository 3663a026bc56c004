import json
import math
from typing import Any

import orjson
import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from inferry.v1.task_service_pb2 import WatchTaskResponse
from inferry.wire.errors import FieldError
from inferry.wire.limits import MAX_INTEGER, STRUCT_DEPTH
from inferry.wire.plain import plain_struct, plain_value
from inferry.wire.structs import (
    struct_from,
    struct_of,
    struct_text,
    value_of,
    value_text,
)

TEXTS = st.text(st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)
OBJECTS = st.dictionaries(TEXTS, VALUES)


def nested(levels: int, leaf: str = "1") -> bytes:
    return ('{"a":' * levels + leaf + "}" * levels).encode()


@given(VALUES)
def test_any_json_value_comes_back_as_it_was(plain: Any) -> None:
    value = value_of(json.dumps(plain).encode())
    assert plain_value(Value.FromString(value.SerializeToString())) == plain
    assert json.loads(value_text(value)) == plain


@given(OBJECTS)
def test_any_json_object_comes_back_as_it_was(plain: dict[str, Any]) -> None:
    struct = struct_of(json.dumps(plain).encode())
    assert plain_struct(struct) == plain
    assert json.loads(struct_text(struct)) == plain
    assert struct_from(plain) == struct


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (45.0, b"45"),
        (180.5, b"180.5"),
        (-3.0, b"-3"),
        (float(MAX_INTEGER), b"9007199254740992"),
        (-float(MAX_INTEGER), b"-9007199254740992"),
    ],
)
def test_whole_numbers_print_as_integers(number: float, text: bytes) -> None:
    assert value_text(Value(number_value=number)) == text


@pytest.mark.parametrize("number", [2.0**53 + 2, 2.0**60, 1e22, -1e300])
def test_whole_numbers_beyond_the_exact_ones_print_as_floats(number: float) -> None:
    text = value_text(Value(number_value=number))
    assert isinstance(json.loads(text), float)
    assert json.loads(text) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    with pytest.raises(FieldError, match="JSON has no"):
        value_text(Value(number_value=number))
    with pytest.raises(FieldError, match="beyond all doubles"):
        struct_from({"a": number})


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
        b"9" * 5_000,
    ],
)
def test_integers_that_a_double_would_round_are_refused(text: bytes) -> None:
    with pytest.raises(FieldError, match="send it as a string"):
        value_of(text)


def test_an_integer_that_would_be_rounded_is_refused_with_its_place() -> None:
    with pytest.raises(FieldError) as refused:
        struct_of(b'{"a":[{"b":9007199254740993}]}')
    assert refused.value.where() == "a[0].b"


def test_large_floats_are_no_integers() -> None:
    assert value_of(b"1e300").number_value == 1e300
    assert value_of(b"[1.00000000000000000001, -1e300]").list_value.values[1].number_value == -1e300


def test_a_number_beyond_all_doubles_does_not_fit() -> None:
    with pytest.raises(FieldError, match=r"^\[1\]: this number is beyond all doubles"):
        value_of(b"[1, 1e400]")


@pytest.mark.parametrize("text", [b'"\\ud800"', b'{"\\ud800":1}', b'[{"a":"\\udc00"}]'])
def test_half_of_a_surrogate_pair_does_not_fit(text: bytes) -> None:
    with pytest.raises(FieldError, match="surrogate"):
        value_of(text)


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"nul", b"\xff", b"[1,]"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(FieldError, match="no JSON, at position"):
        value_of(text)


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"a"'])
def test_a_struct_is_a_json_object(text: bytes) -> None:
    with pytest.raises(FieldError, match="expected a JSON object"):
        struct_of(text)


def test_what_is_no_json_in_python_either_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        struct_from({"a": object()})


@pytest.mark.parametrize("plain", [None, False, 0, "", {}, [], {"a": {}}, [[]], [{}, {"a": []}]])
def test_an_empty_value_is_still_a_value(plain: Any) -> None:
    value = value_of(orjson.dumps(plain))
    assert value.WhichOneof("kind") is not None
    assert plain_value(value) == plain


def test_a_value_that_says_nothing_is_null() -> None:
    assert value_text(Value(list_value=ListValue(values=[Value()]))) == b"[null]"


def test_the_deepest_json_travels_in_the_deepest_message() -> None:
    sent = WatchTaskResponse()
    sent.event.task.result.CopyFrom(value_of(nested(STRUCT_DEPTH)))
    sent.event.task.payload.CopyFrom(struct_of(nested(STRUCT_DEPTH)))
    came = WatchTaskResponse.FromString(sent.SerializeToString())
    assert value_text(came.event.task.result) == nested(STRUCT_DEPTH)
    assert struct_text(came.event.task.payload) == nested(STRUCT_DEPTH)


@pytest.mark.parametrize("levels", [STRUCT_DEPTH + 1, 500])
@pytest.mark.parametrize("leaf", ["1", "{}", "[]", '"a"'])
def test_deeper_json_does_not_fit(levels: int, leaf: str) -> None:
    for text in (nested(levels, leaf), b"[" * levels + leaf.encode() + b"]" * levels):
        with pytest.raises(FieldError, match="deeper than 32"):
            value_of(text)
    with pytest.raises(FieldError, match="deeper than 32"):
        struct_of(nested(levels, leaf))


def test_a_message_nested_too_deeply_is_refused() -> None:
    value = Value(number_value=1)
    for _ in range(STRUCT_DEPTH):
        value = Value(struct_value=Struct(fields={"a": value}))
    assert value_text(value) == nested(STRUCT_DEPTH)
    with pytest.raises(FieldError, match="deeper than 32"):
        struct_text(Struct(fields={"a": value}))
    with pytest.raises(FieldError, match="deeper than 32"):
        value_text(Value(list_value=ListValue(values=[value])))
