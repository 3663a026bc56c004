"""Cursors of watches over many tasks: opaque tokens that name a place among all events.

A token is a version and a vector: for each epoch that it names, one pair of the epoch's tag and of
how many of its events the watcher has seen. Where there is one gateway, that is one pair.
"""

import base64
from collections.abc import Iterable, KeysView
from contextlib import suppress

from inferry.server.errors import InvalidPayloadError
from inferry.server.store import POSITION_BITS, Vector
from inferry.server.store.operations import Epoch

_VERSION = b"\x01"
_TAG_BYTES, _COUNT_BYTES = 8, POSITION_BITS // 8
_PAIR_BYTES = _TAG_BYTES + _COUNT_BYTES
#: Epochs that a token names, at most.
PAIRS_LIMIT = 64


class Cursors:
    """Writes and reads the tokens of one gateway.

    Args:
        epochs: The starts that are known.
    """

    def __init__(self, epochs: Iterable[Epoch]) -> None:
        self._tags: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self.meet(epochs)

    @property
    def numbers(self) -> KeysView[int]:
        """The epochs that are known."""
        return self._tags.keys()

    def meet(self, epochs: Iterable[Epoch]) -> None:
        """Gets to know epochs."""
        for epoch in epochs:
            self._tags[epoch.number] = epoch.tag
            self._numbers[epoch.tag] = epoch.number

    def write(self, vector: Vector) -> str:
        """Makes the token that goes on after a vector; empty when that names too many epochs."""
        # If it is from before all starts that are known, nothing of those has been seen.
        known = {number: vector[number] for number in sorted(vector) if number in self._tags}
        pairs = [
            self._tags[number].to_bytes(_TAG_BYTES) + count.to_bytes(_COUNT_BYTES)
            for number, count in (known or {min(self._tags): 0}).items()
        ]
        return _token(_VERSION + b"".join(pairs)) if len(pairs) <= PAIRS_LIMIT else ""

    def read(self, token: str) -> Vector | None:
        """Reads the vector that a token goes on after; None if it names what is not known here.

        Raises:
            InvalidPayloadError: It is none that a watch returned.
        """
        pairs = _pairs(token)
        if not pairs.keys() <= self._numbers.keys():
            return None
        return {self._numbers[tag]: count for tag, count in pairs.items()}


def _token(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _pairs(token: str) -> dict[int, int]:
    """Reads the pairs of tag and count in a token, of whichever store."""
    pairs: dict[int, int] = {}
    # What is longer is not even decoded; so is what has other characters.
    if len(token) <= 2 * (1 + PAIRS_LIMIT * _PAIR_BYTES) and token.isascii():
        with suppress(ValueError):
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            if _token(raw) == token and raw[:1] == _VERSION:
                count, rest = divmod(len(raw) - 1, _PAIR_BYTES)
                for start in range(1, len(raw) - rest, _PAIR_BYTES):
                    tag = int.from_bytes(raw[start : start + _TAG_BYTES])
                    end = start + _PAIR_BYTES
                    pairs[tag] = int.from_bytes(raw[start + _TAG_BYTES : end])
                if not rest and 0 < len(pairs) == count <= PAIRS_LIMIT:
                    return pairs
    raise InvalidPayloadError("after (cursor): not one that a watch of many tasks returned")
