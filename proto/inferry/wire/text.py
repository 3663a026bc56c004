"""JSON texts that pass through: checked once for well-formedness, and never rebuilt.

A text is UTF-8 and JSON as RFC 8259 has it, with no object that names a member twice, and nested no
deeper than allowed. Nothing here recurses into what came, whatever its depth.
"""

import json
from collections.abc import Callable, Iterator
from itertools import accumulate, chain
from typing import Any

import orjson

from inferry.wire.errors import FieldError, NoJsonError, expected, show
from inferry.wire.limits import DEPTH

_BOM = b"\xef\xbb\xbf"
#: What a byte outside of strings adds to the depth, as a signed byte.
_STEPS = bytes(
    {ord("{"): 1, ord("["): 1, ord("}"): 255, ord("]"): 255}.get(n, 0) for n in range(256)
)
_CONTAINERS = frozenset({dict, list})


def check(text: bytes, depth: int = DEPTH) -> Any:
    """Checks the text of a JSON value.

    Args:
        text: As it came.
        depth: How deep objects and arrays may nest.

    Returns:
        The value, whose numbers may have been rounded.

    Raises:
        NoJsonError: It is no JSON.
        FieldError: It is nested deeper, or an object in it names a member twice.
    """
    outside = _outside_strings(text)
    brackets = outside.count(b"{") + outside.count(b"[")
    if brackets > depth and max(depths(outside)) > depth:
        raise FieldError(f"nested deeper than {depth} levels")
    value = parse(text)
    # As many members as colons: none was named twice and dropped.
    if _members(value) != outside.count(b":"):
        json.loads(text.decode(), object_pairs_hook=_refuse_twins, parse_int=float)
    return value


def check_object(text: bytes, depth: int = DEPTH) -> None:
    """Checks the text of a JSON object, as ``check`` does.

    Raises:
        FieldError: It is another value, or as ``check`` has it.
    """
    value = check(text, depth)
    if type(value) is not dict:
        raise expected("a JSON object", value)


def canonical(text: bytes) -> bytes:
    """Writes a checked text so that two are the same if they differ in order or space alone."""
    # Numbers stay as they are spelled, as bytes: no other value is.
    value = json.loads(
        text.decode(), parse_int=str.encode, parse_float=str.encode, object_pairs_hook=_in_order
    )
    return repr(value).encode()


def without_bom(text: bytes) -> bytes:
    """Takes away the byte order mark that some systems put before UTF-8."""
    return text.removeprefix(_BOM)


def parse(text: bytes) -> Any:
    """Reads a JSON value of no great depth, such as the fields of a request.

    Raises:
        NoJsonError: It is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _parse_slowly(text, error)


def no_json(text: bytes, at: int) -> NoJsonError:
    """Tells where a text ceases to be JSON; ``at`` is where that was noticed."""
    try:
        parse(text)
    except NoJsonError as error:
        return error
    return NoJsonError(at, "expected a member or the end of the object")


def depths(outside: bytes) -> Iterator[int]:
    """Tells how deep a JSON text without its strings is at each byte, that byte counted in."""
    return accumulate(memoryview(outside.translate(_STEPS)).cast("b"))


def _outside_strings(text: bytes) -> bytes:
    """Leaves the strings of a JSON text out."""
    return b"".join(text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])


def _members(value: Any) -> int:
    """Counts the members of all objects in a value."""
    count, level = 0, [value]
    while level:
        inner: list[Any] = []
        for one in level:
            if type(one) is dict:
                count += len(one)
                inner += [item for item in one.values() if type(item) in _CONTAINERS]
            elif type(one) is list:
                inner += [item for item in one if type(item) in _CONTAINERS]
        level = inner
    return count


def _parse_slowly(text: bytes, error: orjson.JSONDecodeError) -> Any:
    """Reads what is JSON all the same: half of a surrogate pair, a number beyond all doubles."""
    refusal = NoJsonError(*_place_of(text, error))
    try:
        return json.loads(
            text.decode(), parse_constant=_refuser(refusal), parse_int=float, parse_float=float
        )
    except (ValueError, RecursionError):
        raise refusal from None


def _place_of(text: bytes, error: orjson.JSONDecodeError) -> tuple[int, str]:
    try:
        characters = text.decode()
    except UnicodeDecodeError as wrong:
        return wrong.start, "this is not UTF-8"
    return len(characters[: error.pos].encode()), error.msg.partition(": line ")[0]


def _refuser(error: FieldError) -> Callable[[str], Any]:
    def refuse(_: str) -> Any:
        raise error

    return refuse


def _in_order(members: list[tuple[str, Any]]) -> tuple[Any, ...]:
    """Makes an object a tuple of names and values in turn: no array is one, and it nests once."""
    return tuple(chain.from_iterable(sorted(members)))


def _refuse_twins(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise FieldError(f"an object names the member {show(name)} twice")
        seen.add(name)
