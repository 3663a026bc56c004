import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.wire.errors import FieldError, NoJsonError
from inferry.wire.text import canonical, check, check_object, without_bom

#: What JSON is made of, so that random texts are often nearly JSON.
PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', '"a"', '"b"', "\\", "1", "-2.5e3", "null", " ", "x", "é"]
)


def is_json(text: bytes) -> bool:
    """What Python's own parser says, which takes all that JSON is and a little more."""

    def refuse(word: str) -> Any:
        raise ValueError(word)

    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("twins")
        return dict(pairs)

    try:
        json.loads(text.decode(), parse_constant=refuse, object_pairs_hook=no_twins)
    except ValueError:
        return False
    return True


@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_passes_is_json_and_what_is_json_passes(text: str) -> None:
    try:
        check(text.encode())
    except FieldError:
        assert not is_json(text.encode())
    else:
        assert is_json(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"1e400",
        b"-1" + b"0" * 5_000,
        b"9223372036854775808",
        b'"\\ud800 half of a pair"',
        b'{"a":"{[:\\"","b\\\\":[":",{}]}',
        b" [1 ,\t2]\r\n",
        "\U0001f600".join('""').encode(),
        b'"\\u0000"',
    ],
)
def test_whatever_is_json_passes(text: bytes) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (b"", 0),
        (b"NaN", 0),
        (b'{"a":Infinity}', 5),
        (b"[1,]", 2),
        (b"01", 0),
        (b'"\xff"', 1),
        (b'{"a":1} {}', 8),
        ("\xe9".encode() + b"x", 0),
        ('{"\xe9":x}'.encode(), 6),
        (b'"\n"', 1),
        (b"\xef\xbb\xbf1", 0),
        (b"[" * 100, 100),
    ],
)
def test_what_is_no_json_is_refused_with_the_byte_where_it_shows(
    text: bytes, position: int
) -> None:
    with pytest.raises(NoJsonError, match=f"no JSON, at position {position}: ") as refused:
        check(text)
    assert refused.value.position == position


@pytest.mark.parametrize(
    "text", [b'{"a":1,"a":2}', b'[{"b":":","c":{"a":1,"\\u0061":2}}]', b'{"u":"a:b","u":1e400}']
)
def test_an_object_names_a_member_once(text: bytes) -> None:
    with pytest.raises(FieldError, match=r'names the member "." twice'):
        check(text)


def test_the_same_name_in_two_objects_is_no_twin() -> None:
    check(b'[{"a":"x:y"},{"a":{"a":1}}]')


@pytest.mark.parametrize("pair", [b"[]", b'{"":}'])
def test_depth_has_a_limit_that_brackets_in_strings_do_not_count_to(pair: bytes) -> None:
    head, tail = pair[:-1], pair[-1:]
    text = head * 127 + (b'["[[[{{{\\"[["]') + tail * 127
    check(text, 128)
    with pytest.raises(FieldError, match="nested deeper than 127 levels"):
        check(text, 127)


@pytest.mark.parametrize("levels", [129, 100_000])
def test_no_depth_is_too_much_to_be_refused(levels: int) -> None:
    with pytest.raises(FieldError, match="nested deeper than 128 levels"):
        check(b"[" * levels + b"]" * levels)


@pytest.mark.parametrize(("text", "came"), [(b"[1]", "an array"), (b"5", "5"), (b"null", "null")])
def test_another_value_is_no_object(text: bytes, came: str) -> None:
    with pytest.raises(FieldError, match=f"expected a JSON object, got {came}"):
        check_object(text)


def test_texts_that_differ_in_order_space_or_escapes_are_the_same() -> None:
    text = b'{"b":[1,{"d":1e999,"c":"\\u0041"}],"a":null}'
    assert canonical(text) == canonical(b' {"a":null,\n"b":[1, {"c":"A","d":1e999}]}')


@pytest.mark.parametrize(
    "texts",
    [
        (b"1", b'"1"', b"true", b"[1]", b"1.0", b"10", b"-1", b"\"b'1'\""),
        (b"0", b"-0", b"0.0", b"1e400", b"1e401"),
        (b"{}", b"[]", b"null", b'""', b"[[]]", b'{"":""}'),
        (b'{"a":"b"}', b'["a","b"]', b'[["a","b"]]', b'{"b":"a"}', b'"{a:b}"'),
        (b'"\\ud800"', b'"\\\\ud800"', b'"\\udfff"', b'"\\u0000"', b'"?"'),
    ],
)
def test_texts_that_say_something_else_are_not_the_same(texts: tuple[bytes, ...]) -> None:
    assert len({canonical(text) for text in texts}) == len(texts)


def test_the_deepest_text_that_can_be_allowed_is_compared() -> None:
    # The setting goes to 500.
    text = b'{"a":' * 500 + b"1" + b"}" * 500
    assert check(text, 500)
    assert canonical(text) == canonical(text.replace(b":", b" : "))


def test_a_byte_order_mark_is_taken_away() -> None:
    assert without_bom(b"\xef\xbb\xbf{}") == without_bom(b"{}") == b"{}"
