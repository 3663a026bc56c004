from typing import Any

import orjson
import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from inferry.bridge.errors import FieldError
from inferry.bridge.values import (
    MAX_DEPTH,
    MAX_INTEGER,
    ExactFloat,
    SuspectNumberError,
    read_struct,
    read_value,
    write_struct,
    write_value,
)
from inferry.v1.task_service_pb2 import CreateTaskRequest, WatchTaskResponse

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(-1e18, 1e18)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@given(ANY_JSON)
def test_what_is_written_is_read_again(value: Any) -> None:
    target = Value()
    write_value(target, value)
    assert read_value(Value.FromString(target.SerializeToString())) == value


@pytest.mark.parametrize("value", [None, False, 0, "", {}, [], {"a": {}}, [[]]])
def test_an_empty_value_is_still_a_value(value: Any) -> None:
    target = Value()
    write_value(target, value)
    assert target.WhichOneof("kind") is not None
    assert read_value(target) == value


@pytest.mark.parametrize("number", [45.0, 0.0, -7.0, float(MAX_INTEGER)])
def test_a_whole_number_is_printed_without_a_point(number: float) -> None:
    assert isinstance(read_value(Value(number_value=number)), int)


@pytest.mark.parametrize(("number", "printed"), [(180.5, b"180.5"), (1e300, b"1e+300")])
def test_other_numbers_stay_as_they_are(number: float, printed: bytes) -> None:
    assert orjson.dumps(read_value(Value(number_value=number))) == printed


@pytest.mark.parametrize("number", [MAX_INTEGER + 1, -MAX_INTEGER - 1, 2**64 - 1])
def test_an_integer_that_would_be_rounded_is_refused_with_its_place(number: int) -> None:
    with pytest.raises(FieldError, match="send it as a string") as refused:
        write_struct(Struct(), {"a": [{"b": number}]})
    assert refused.value.where() == "a[0].b"


@pytest.mark.parametrize("number", [1e300, -1e300, float(2**64), -float(2**63)])
def test_a_float_that_may_have_been_an_integer_is_suspect_until_it_is_known(number: float) -> None:
    with pytest.raises(SuspectNumberError):
        write_value(Value(), number)
    target = Value()
    write_value(target, ExactFloat(number))
    assert target.number_value == number


def test_a_value_at_the_deepest_level_travels_everywhere() -> None:
    response = WatchTaskResponse()
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = {"a": value}
    write_value(response.event.task.result, value)
    assert WatchTaskResponse.FromString(response.SerializeToString()) == response


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, MAX_DEPTH + 2])
def test_a_value_below_the_deepest_level_is_refused(levels: int) -> None:
    with pytest.raises(FieldError, match="nested deeper than 32 levels"):
        write_value(Value(), nested(levels))


def test_the_levels_of_a_payload_are_counted_from_the_payload() -> None:
    request = CreateTaskRequest()
    write_struct(request.payload, {"a": nested(MAX_DEPTH - 1)})
    assert read_struct(request.payload) == {"a": nested(MAX_DEPTH - 1)}
