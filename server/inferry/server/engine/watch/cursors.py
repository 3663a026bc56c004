"""Cursors of watches over many tasks: opaque tokens that name a place among all events.

A token is a version and, for each gateway on the store, one pair: the tag of a start of that
gateway, and how many of its events the watcher has seen. On SQLite there is one gateway, and so one
pair.
"""

import base64
from collections.abc import Iterable
from contextlib import suppress

from inferry.server.errors import InvalidPayloadError
from inferry.server.store import POSITION_BITS
from inferry.server.store.operations import Epoch

_VERSION = b"\x01"
_TAG_BYTES, _COUNT_BYTES = 8, POSITION_BITS // 8
_PAIR_BYTES = _TAG_BYTES + _COUNT_BYTES
#: Gateways on one store, at most.
_PAIRS_LIMIT = 64
_COUNTS = (1 << POSITION_BITS) - 1


class Cursors:
    """Writes and reads the tokens of one gateway.

    Args:
        epochs: The starts that are known; the last is the present one.
    """

    def __init__(self, epochs: Iterable[Epoch]) -> None:
        self._tags = {epoch.number: epoch.tag for epoch in epochs}
        self._numbers = {tag: number for number, tag in self._tags.items()}
        self._now = max(self._tags)

    def write(self, position: int) -> str:
        """Makes the token that goes on after a position."""
        number, count = position >> POSITION_BITS, position & _COUNTS
        if number not in self._tags:
            # From before all starts that are known: this one has seen nothing since.
            number, count = self._now, 0
        tag = self._tags[number].to_bytes(_TAG_BYTES)
        return _token(_VERSION + tag + count.to_bytes(_COUNT_BYTES))

    def read(self, token: str) -> int | None:
        """Reads the position that a token goes on after; None if it means nothing here any more.

        Raises:
            InvalidPayloadError: It is none that a watch returned.
        """
        pairs = _pairs(token)
        known = [(tag, count) for tag, count in pairs.items() if tag in self._numbers]
        if len(known) != len(pairs) or len(known) != 1:
            return None
        ((tag, count),) = known
        return self._numbers[tag] << POSITION_BITS | count


def _token(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _pairs(token: str) -> dict[int, int]:
    """Reads the pairs of tag and count in a token, of whichever store."""
    pairs: dict[int, int] = {}
    # What is longer is not even decoded; so is what has other characters.
    if len(token) <= 2 * (1 + _PAIRS_LIMIT * _PAIR_BYTES) and token.isascii():
        with suppress(ValueError):
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            if _token(raw) == token and raw[:1] == _VERSION:
                count, rest = divmod(len(raw) - 1, _PAIR_BYTES)
                for start in range(1, len(raw) - rest, _PAIR_BYTES):
                    tag = int.from_bytes(raw[start : start + _TAG_BYTES])
                    end = start + _PAIR_BYTES
                    pairs[tag] = int.from_bytes(raw[start + _TAG_BYTES : end])
                if not rest and 0 < len(pairs) == count <= _PAIRS_LIMIT:
                    return pairs
    raise InvalidPayloadError("after (cursor): not one that a watch of many tasks returned")
