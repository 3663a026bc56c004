"""The members of a JSON object, or the elements of an array, each as the text that was given.

Only what stands around them is read. What is inside one may be as deep as it likes, or no JSON at
all: whoever wants one checks it, and all others are passed over.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from inferry.wire.errors import FieldError, NoJsonError, expected, show
from inferry.wire.text import depths, no_json, parse

_SPACE = rb"[ \t\n\r]*+"
_FLAT = rb'[^"{}\[\]]++|"[^"]*+"'
#: What objects and arrays hold, if it nests no more than a few levels: one step for all of it.
_INSIDE = _FLAT
for _ in range(4):
    _INSIDE = rb"%b|[{\[](?:%b)*+[}\]]" % (_FLAT, _INSIDE)
#: A value; of one that nests deeper only where it begins.
_VALUE = rb'(?P<value>"[^"]*+"|[^\s"{}\[\],:]++|[{\[](?:%b)*+[}\]]|(?=[{\[]))' % _INSIDE
_NEXT = rb"%b(?P<next>[,}\]])" % _SPACE
_ELEMENT = rb"%b%b(?:%b)?+" % (_SPACE, _VALUE, _NEXT)
_MEMBER = rb'%b"(?P<name>[^"]*+)"%b:%b' % (_SPACE, _SPACE, _ELEMENT)
_AFTER = re.compile(_NEXT)


class _Kind(NamedTuple):
    """What an object or an array is made of."""

    name: str
    begin: re.Pattern[bytes]
    piece: re.Pattern[bytes]
    end: bytes


_OBJECT = _Kind(
    "a JSON object", re.compile(rb"%b\{%b(\}?)" % (_SPACE, _SPACE)), re.compile(_MEMBER), b"}"
)
_ARRAY = _Kind(
    "an array", re.compile(rb"%b\[%b(\]?)" % (_SPACE, _SPACE)), re.compile(_ELEMENT), b"]"
)
#: Bytes in which the end of a deeper value is looked for at first.
_FIRST_LOOK = 512


def members(text: bytes) -> dict[str, bytes]:
    """Splits the text of a JSON object into the texts of its members, by name.

    Raises:
        NoJsonError: It is no JSON.
        FieldError: It is another value, or a member is named twice.
    """
    found: dict[str, bytes] = {}
    for member, value in _pieces(text, _OBJECT):
        name = _name(text[member.start("name") : member.end("name")])
        if name in found:
            raise FieldError(f"the member {show(name)} is named twice")
        found[name] = value
    return found


def picker(names: Collection[str]) -> Callable[[bytes], dict[str, bytes]]:
    """Makes what picks members out of the text of a JSON object.

    Of two with a name, the last one counts. What the names of the others are is not looked at. It
    raises ``NoJsonError`` if the text is no JSON, and ``FieldError`` if it is another value.
    """
    plain = {name.encode(): name for name in names}

    def pick(text: bytes) -> dict[str, bytes]:
        picked: dict[str, bytes] = {}
        for member, value in _pieces(text, _OBJECT):
            start, stop = member.span("name")
            spelled = text[start:stop]
            name = plain.get(spelled)
            if name is None and b"\\" in spelled:
                name = _escaped(spelled, names)
            if name is not None:
                picked[name] = value
        return picked

    return pick


def elements(text: bytes) -> list[bytes]:
    """Splits the text of a JSON array into the texts of its elements.

    Raises:
        NoJsonError: It is no JSON.
        FieldError: It is another value.
    """
    return [value for _, value in _pieces(text, _ARRAY)]


def _pieces(text: bytes, kind: _Kind) -> Iterator[tuple[re.Match[bytes], bytes]]:
    """Yields the pieces of an object or an array: they may be a million, of which few are kept."""
    begin = kind.begin.match(text)
    if begin is None:
        raise expected(kind.name, parse(text))
    # Of the same length, and no quote in it is part of a string.
    bare = text
    if b"\\" in text:
        bare = text.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    at, separator = begin.end(), begin[1] or b","
    while separator == b",":
        found = kind.piece.match(bare, at)
        if found is None:
            raise no_json(text, at)
        start, stop = found.span("value")
        after: re.Match[bytes] | None = found
        if start == stop:
            stop = _end_of(bare, start)
            after = _AFTER.match(bare, stop)
        if after is None or (separator := after["next"]) is None:
            raise no_json(text, stop)
        yield found, text[start:stop]
        at = after.end()
    if separator != kind.end or bare[at:].strip(b" \t\n\r"):
        raise no_json(text, at)


def _end_of(bare: bytes, start: int) -> int:
    """Finds where an object or array ends that begins at ``start``, however deep it nests."""
    # Not in all that follows: there may be many such values.
    look = _FIRST_LOOK
    while True:
        parts = bare[start : start + look].split(b'"')
        # A quote stands for each string.
        outside = b'"'.join(parts[::2])
        for at, depth in enumerate(depths(outside), 1):
            if not depth:
                strings = outside.count(b'"', 0, at)
                return start + at + strings + sum(map(len, parts[1 : 2 * strings : 2]))
        if start + look >= len(bare):
            raise NoJsonError(len(bare), "it ends in the middle of a value")
        look *= 4


def _name(spelled: bytes) -> str:
    if b"\\" in spelled:
        return str(parse(b'"%b"' % spelled))
    try:
        return spelled.decode()
    except UnicodeDecodeError as error:
        raise NoJsonError(error.start, "a member's name is not UTF-8") from None


def _escaped(spelled: bytes, names: Collection[str]) -> str | None:
    """Reads a name that is spelled with escapes, if it is one of those."""
    try:
        name = _name(spelled)
    except NoJsonError:
        return None
    return name if name in names else None
