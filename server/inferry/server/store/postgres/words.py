"""Words as PostgreSQL can keep them: its texts hold every character but NUL.

A word with a NUL is rare and yet a word: a label, the message of a backend that crashed. Both
stores give back what they got, so NUL is written as two characters that no other word is written
with: 01 01, and 01 itself as 01 02. Different words stay different, and all others as they are.
"""

from collections.abc import Iterable

_NUL, _MARK = b"\x00", b"\x01"
_NUL_WRITTEN, _MARK_WRITTEN = b"\x01\x01", b"\x01\x02"


def write_word(word: str) -> bytes:
    """Lays a word out as a text of the database.

    Raises:
        UnicodeEncodeError: It is no Unicode: half of a surrogate pair.
    """
    text = word.encode()
    if _NUL in text or _MARK in text:
        text = text.replace(_MARK, _MARK_WRITTEN).replace(_NUL, _NUL_WRITTEN)
    return text


def read_word(text: bytes) -> str:
    """Reads a word from a text of the database."""
    if _MARK in text:
        text = text.replace(_NUL_WRITTEN, _NUL).replace(_MARK_WRITTEN, _MARK)
    return text.decode()


def write_words(words: Iterable[str | None]) -> list[str | None]:
    """Lays words out for an array, which the driver encodes by itself."""
    return [
        write_word(word).decode() if word and ("\x00" in word or "\x01" in word) else word
        for word in words
    ]
