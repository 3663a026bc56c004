"""Results that come in parts: put together in order, within the bounds of one and of all. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from inferry.server.errors import (
    InferryError,
    InvalidPayloadError,
    PayloadTooLargeError,
    UnavailableError,
)
from inferry.server.fleet.lease import AttemptKey

#: When to send a result again for which there was no room.
_AGAIN_S = 1
#: One stream may have so much of what all together may, or one result: who begins and does not end
#: holds up only itself.
_SHARE = 4
#: Results of one stream that may be under way at once; parts of others are passed over.
_RESULTS_LIMIT = 1_000


class Budget:
    """Bytes that all streams together may have under way."""

    def __init__(self, limit: int) -> None:
        #: How many.
        self.limit = limit
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes under way."""
        return self._used

    def take(self, size: int) -> bool:
        """Takes some; False if there are not so many left."""
        if self._used + size > self.limit:
            return False
        self._used += size
        return True

    def give_back(self, size: int) -> None:
        """Gives some back."""
        self._used -= size


class Chunks:
    """The results of one stream that are under way, each by its attempt.

    Args:
        budget: Bytes for all streams.
        largest: Bytes of a result.
        chunk: Bytes of a part.
    """

    def __init__(self, budget: Budget, largest: int, chunk: int) -> None:
        self._all = budget
        self._budget = Budget(max(largest, budget.limit // _SHARE))
        self._largest = largest
        self._chunk = chunk
        self._parts: dict[AttemptKey, bytearray] = {}
        #: What is wrong with results that are no longer kept.
        self._flaws: dict[AttemptKey, InferryError] = {}

    @property
    def flaws(self) -> Mapping[AttemptKey, InferryError]:
        """What is wrong with results that came."""
        return MappingProxyType(self._flaws)

    def add(self, attempt: AttemptKey, offset: int, data: bytes) -> None:
        """Takes a part; what is wrong with it is told when its report comes."""
        if not offset:
            self.discard(attempt)
        begun = len(self._parts) + len(self._flaws)
        if attempt in self._flaws or (attempt not in self._parts and begun >= _RESULTS_LIMIT):
            return
        parts = self._parts.setdefault(attempt, bytearray())
        flaw = self._flaw(len(parts), offset, len(data))
        if flaw is not None:
            self.discard(attempt)
            self._flaws[attempt] = flaw
        else:
            parts += data

    def take(self, attempt: AttemptKey, expected: int) -> bytes:
        """Gives a result of which all parts have come, and forgets it.

        Raises:
            InferryError: What is wrong with it.
        """
        flaw = self._flaws.pop(attempt, None)
        if flaw is not None:
            raise flaw
        found = bytes(self._parts.get(attempt, b""))
        self.discard(attempt)
        if len(found) != expected:
            raise InvalidPayloadError(
                f"chunked_bytes: {len(found)} of {expected} bytes came in chunks", field="result"
            )
        return found

    def discard(self, attempt: AttemptKey) -> None:
        """Forgets a result."""
        self._flaws.pop(attempt, None)
        parts = self._parts.pop(attempt, None)
        if parts is not None:
            self._budget.give_back(len(parts))
            self._all.give_back(len(parts))

    def clear(self) -> None:
        """Forgets all."""
        for attempt in list(self._parts):
            self.discard(attempt)
        self._flaws.clear()

    def _flaw(self, came: int, offset: int, size: int) -> InferryError | None:
        if size > self._chunk:
            return PayloadTooLargeError(f"a chunk has {size} bytes; the limit is {self._chunk}")
        if offset != came:
            return InvalidPayloadError(
                f"a chunk begins at {offset}; right is {came}, or 0 to begin anew", field="result"
            )
        if came + size > self._largest:
            return PayloadTooLargeError(
                f"result: {came + size} bytes and more; the limit is {self._largest}"
            )
        if self._budget.take(size):
            if self._all.take(size):
                return None
            self._budget.give_back(size)
        return UnavailableError(
            "too many large results are under way; send this one again", retry_after_s=_AGAIN_S
        )
