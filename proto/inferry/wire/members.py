"""The members of a JSON object, or the elements of an array, each as the text that was given.

Only what stands around them is read. What is inside one may be as deep as it likes, or no JSON at
all: whoever wants one checks it, and all others are passed over.
"""

import re
from collections.abc import Iterator

import orjson

from inferry.wire.errors import FieldError, NoJsonError, expected, show
from inferry.wire.text import depths, parse

_SPACE = rb"[ \t\n\r]*+"
_FLAT = rb'[^"{}\[\]]++|"[^"]*+"'
#: What objects and arrays hold, if it nests no more than a few levels: one step for all of it.
_INSIDE = _FLAT
for _ in range(4):
    _INSIDE = rb"%b|[{\[](?:%b)*+[}\]]" % (_FLAT, _INSIDE)
#: A value; of one that nests deeper only where it begins.
_VALUE = rb'("[^"]*+"|[^\s"{}\[\],:]++|[{\[](?:%b)*+[}\]]|(?=[{\[]))' % _INSIDE
_ELEMENT = re.compile(_SPACE + _VALUE)
_MEMBER = re.compile(rb'%b"(?P<name>[^"]*+)"%b:%b%b' % (_SPACE, _SPACE, _SPACE, _VALUE))
_OBJECT = re.compile(rb"%b\{%b(\}?)" % (_SPACE, _SPACE))
_ARRAY = re.compile(rb"%b\[%b(\]?)" % (_SPACE, _SPACE))
_NEXT = re.compile(_SPACE + rb"([,}\]])")


def members(text: bytes, *, twins: bool = False) -> dict[str, bytes]:
    """Splits the text of a JSON object into the texts of its members.

    Args:
        text: As it came.
        twins: Whether a member may be named twice; then the last one counts.

    Raises:
        NoJsonError: It is no JSON.
        FieldError: It is another value, or a member is named twice.
    """
    begin = _OBJECT.match(text)
    if begin is None:
        raise expected("a JSON object", parse(text))
    found: dict[str, bytes] = {}
    for member, value in _pieces(text, begin, _MEMBER, b"}"):
        name = _name(text[member.start("name") : member.end("name")])
        if name in found and not twins:
            raise FieldError(f"the member {show(name)} is named twice")
        found[name] = value
    return found


def elements(text: bytes) -> list[bytes]:
    """Splits the text of a JSON array into the texts of its elements.

    Raises:
        NoJsonError: It is no JSON.
        FieldError: It is another value.
    """
    begin = _ARRAY.match(text)
    if begin is None:
        raise expected("an array", parse(text))
    return [value for _, value in _pieces(text, begin, _ELEMENT, b"]")]


def _pieces(
    text: bytes, begin: re.Match[bytes], piece: re.Pattern[bytes], end: bytes
) -> Iterator[tuple[re.Match[bytes], bytes]]:
    # Of the same length, and no quote in it is part of a string.
    bare = text.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    at, separator = begin.end(), begin[1] or b","
    while separator == b",":
        found = piece.match(bare, at)
        if found is None:
            raise _no_json(text, at)
        start, stop = found.span(found.lastindex or 0)
        if start == stop:
            stop = _end_of(bare, start)
        yield found, text[start:stop]
        following = _NEXT.match(bare, stop)
        if following is None:
            raise _no_json(text, stop)
        at, separator = following.end(), following[1]
    if separator != end or bare[at:].strip(b" \t\n\r"):
        raise _no_json(text, at)


def _end_of(bare: bytes, start: int) -> int:
    """Finds where an object or array ends that begins at ``start``, however deep it nests."""
    parts = bare[start:].split(b'"')
    # A quote stands for each string.
    outside = b'"'.join(parts[::2])
    for at, depth in enumerate(depths(outside), 1):
        if not depth:
            strings = outside.count(b'"', 0, at)
            return start + at + strings + sum(map(len, parts[1 : 2 * strings : 2]))
    raise NoJsonError(len(bare), "it ends in the middle of a value")


def _name(text: bytes) -> str:
    if b"\\" in text:
        return str(parse(b'"%b"' % text))
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise NoJsonError(error.start, "a member's name is not UTF-8") from None


def _no_json(text: bytes, at: int) -> NoJsonError:
    """Tells where a text ceases to be JSON; ``at`` is where that was noticed."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return NoJsonError(error.pos, error.msg.partition(": line ")[0])
    return NoJsonError(at, "expected a member or the end of the object")
