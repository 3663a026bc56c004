"""What a backend and its child processes say to each other: frames of a pickled tuple.

Both ends are the same program; nothing that came over a network is unpickled.
"""

import asyncio
import pickle
from typing import Any, BinaryIO

_LENGTH_BYTES = 8


def pack(message: tuple[Any, ...]) -> bytes:
    """Makes a frame."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def read(source: BinaryIO) -> tuple[Any, ...] | None:
    """Reads a frame; None at the end."""
    length = source.read(_LENGTH_BYTES)
    if len(length) < _LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    body = source.read(size)
    return None if len(body) < size else _unpack(body)


async def receive(source: asyncio.StreamReader) -> tuple[Any, ...] | None:
    """Reads a frame; None at the end."""
    try:
        size = int.from_bytes(await source.readexactly(_LENGTH_BYTES), "big")
        return _unpack(await source.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _unpack(body: bytes) -> tuple[Any, ...]:
    message: tuple[Any, ...] = pickle.loads(body)  # noqa: S301 - from our own child or parent
    return message
