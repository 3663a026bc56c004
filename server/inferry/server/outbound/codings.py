"""``Content-Encoding`` of an answer: which one it has, and unpacking it within a limit. Pure.

Nobody is asked for one, but there are servers and proxies that pack whatever they send.
"""

import zlib
from collections.abc import Iterable

_GZIP = frozenset({"gzip", "x-gzip"})
_DEFLATE = "deflate"
#: Codings that need more than the standard library, or a key. Words that are none, such as
#: ``utf-8`` and ``none``, come from servers that take the header for something else.
_FOREIGN = frozenset(
    {
        "aes128gcm",
        "br",
        "compress",
        "dcb",
        "dcz",
        "exi",
        "pack200-gzip",
        "x-compress",
        "zstd",
    }
)
_GZIP_BITS = 16 + zlib.MAX_WBITS
_RAW_BITS = -zlib.MAX_WBITS
#: Two bytes begin the zlib format: the method in half of one, and both divisible by 31.
_ZLIB_METHOD = 8
_ZLIB_CHECK = 31


class CodingError(Exception):
    """A body that cannot be unpacked; the message says why."""


def coding_of(values: Iterable[str]) -> str:
    """Tells how a body is packed: ``gzip``, ``deflate``, or empty for not at all.

    Args:
        values: Of all its headers ``Content-Encoding``.

    Raises:
        CodingError: In a way that is not known here, or more than once.
    """
    words = (word.strip().lower() for value in values for word in value.split(","))
    codings = [word for word in words if word == _DEFLATE or word in _GZIP | _FOREIGN]
    if len(codings) > 1 or not _FOREIGN.isdisjoint(codings):
        raise CodingError(
            f"the answer has Content-Encoding: {', '.join(codings)[:64]}; "
            "right is none, gzip or deflate"
        )
    if not codings:
        return ""
    return "gzip" if codings[0] in _GZIP else _DEFLATE


def unpack(body: bytes, coding: str, limit: int) -> bytes:
    """Unpacks a body, ``limit`` + 1 bytes of it at most: who gets so many knows that it has more.

    Raises:
        CodingError: It is not packed like that, or not whole.
    """
    inflater = zlib.decompressobj(_GZIP_BITS if coding == "gzip" else _deflate_bits(body))
    try:
        unpacked = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise CodingError(f"the answer has Content-Encoding: {coding}, and is not") from None
    if not inflater.eof and len(unpacked) <= limit:
        raise CodingError(f"the answer has Content-Encoding: {coding}, and its end is missing")
    return unpacked


def _deflate_bits(body: bytes) -> int:
    """Tells which of two formats a deflated body has: zlib's as it should, or none around it."""
    framed = body[0] % 16 == _ZLIB_METHOD and int.from_bytes(body[:2]) % _ZLIB_CHECK == 0
    return zlib.MAX_WBITS if framed else _RAW_BITS
