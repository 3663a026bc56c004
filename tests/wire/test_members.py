import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.wire.errors import FieldError, NoJsonError
from inferry.wire.members import elements, members, picker
from inferry.wire.text import depths

NAMES = st.text(st.sampled_from('ab"\\\\{}[],: \n\xe9'), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_members_are_the_texts_that_stand_there(
    plain: dict[str, Any], escaped: bool, indent: int | None
) -> None:
    text = json.dumps(plain, ensure_ascii=escaped, indent=indent)
    found = dict(members(text.encode()))
    assert {name: json.loads(value) for name, value in found.items()} == plain
    assert all(value.decode() in text for value in found.values())


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
def test_elements_are_the_texts_that_stand_there(plain: list[Any], indent: int | None) -> None:
    found = elements(json.dumps(plain, indent=indent).encode())
    assert [json.loads(value) for value in found] == plain


@pytest.mark.parametrize("levels", [4, 5, 6, 1_000, 100_000])
@pytest.mark.parametrize("inside", [b"", b'"]", "}\\"["', b"nan"])
def test_a_member_may_be_as_deep_as_it_likes(levels: int, inside: bytes) -> None:
    deep = b'{"x":[' * levels + inside + b"]}" * levels
    text = b' {"a" : 1, "deep":%b , "b":[2]} ' % deep
    assert dict(members(text)) == {"a": b"1", "deep": deep, "b": b"[2]"}


def test_each_of_many_deep_members_is_looked_through_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b"[" * 300 + b"]" * 300
    text = b"{%b}" % b",".join(b'"%d":%b' % (number, deep) for number in range(1_000))
    looked_at = 0

    def counted(outside: bytes) -> Iterator[int]:
        nonlocal looked_at
        looked_at += len(outside)
        return depths(outside)

    monkeypatch.setattr("inferry.wire.members.depths", counted)
    assert all(value == deep for value in members(text).values())
    assert looked_at < 10 * len(text)


@pytest.mark.parametrize("end", ['"]}', "\\", '\\"', "]]]]]]"])
def test_strings_in_a_deep_member_may_be_of_any_length(end: str) -> None:
    for length in (*range(490, 520), *range(2_030, 2_060)):
        deep = b"[[[[[[%b]]]]]]" % json.dumps("x" * length + end).encode()
        assert dict(members(b'{"a":%b,"b":1}' % deep)) == {"a": deep, "b": b"1"}


def test_what_is_inside_a_member_is_nobodys_business() -> None:
    assert dict(members(b'{"a":{"b":oops, "c":[NaN,,]},"d":-Infinity}')) == {
        "a": b'{"b":oops, "c":[NaN,,]}',
        "d": b"-Infinity",
    }


def test_a_member_named_twice_is_refused() -> None:
    with pytest.raises(FieldError, match='the member "a" is named twice'):
        dict(members(b'{"a":1,"\\u0061":2}'))


def test_members_are_picked_by_their_names_and_the_last_one_counts() -> None:
    text = b'{"a":1,"\\u0061":2,"b":{},"c":3,"A":4}'
    assert picker(["a", "b", "x"])(text) == {"a": b"2", "b": b"{}"}


def test_members_that_are_not_picked_are_not_kept() -> None:
    text = b'{%b,"wanted":1}' % b",".join(b'"%d":1' % number for number in range(100_000))
    tracemalloc.start()
    try:
        assert picker(["wanted"])(text) == {"wanted": b"1"}
        assert tracemalloc.get_traced_memory()[1] < 2 * len(text)
    finally:
        tracemalloc.stop()


def test_names_of_members_that_are_not_picked_are_nobodys_business() -> None:
    assert picker(["a"])(b'{"\xff":1,"\\x":2,"\\u12":3,"\n":4,"a":5}') == {"a": b"5"}


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (b"", 0),
        (b"nope", 0),
        (b'{"a":1', 6),
        (b'{"a" 1}', 5),
        (b"{a:1}", 1),
        (b'{"a":1}x', 7),
        (b'{"a":1,}', 6),
        (b'{"a":}', 5),
        (b'{"a":1]', 6),
        (b'{"a":"x', 7),
        (b'{"a":' + b"[" * 50, 55),
        (b'{"\xff":1}', 0),
    ],
)
def test_what_is_no_object_at_all_is_refused_with_the_place(text: bytes, position: int) -> None:
    with pytest.raises(NoJsonError, match=f"no JSON, at position {position}: "):
        dict(members(text))


@pytest.mark.parametrize("text", [b"[1}", b"[1,]", b"[1 2]", b"[", b"[1]]"])
def test_what_is_no_array_at_all_is_refused(text: bytes) -> None:
    with pytest.raises(NoJsonError):
        elements(text)


def test_another_value_is_told_by_what_it_is() -> None:
    with pytest.raises(FieldError, match="expected a JSON object, got an array"):
        dict(members(b"[1]"))
    with pytest.raises(FieldError, match="expected an array, got an object"):
        elements(b'{"a":1}')
