"""What was seen lately: a set that forgets."""

from collections.abc import Callable
from time import monotonic

#: How long a member stays at least, unless many come; twice as long at most.
_STAYS_S = 30.0
#: Members at most, in each of two halves.
_HALF = 2_048


class Lately:
    """Digests of a while ago, in two halves: the old one is dropped when the young one is full.

    Args:
        now_s: Tells the time in seconds; it never goes back.
    """

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._began_s = now_s()

    def __contains__(self, digest: bytes) -> bool:
        age_s = self._now_s() - self._began_s
        if age_s >= _STAYS_S:
            self._turn()
            if age_s >= 2 * _STAYS_S:
                self._old = set()
        return digest in self._young or digest in self._old

    def add(self, digest: bytes) -> None:
        """Adds one; of those that came before it, the oldest may go."""
        if len(self._young) >= _HALF:
            self._turn()
        self._young.add(digest)

    def _turn(self) -> None:
        self._old, self._young = self._young, set()
        self._began_s = self._now_s()
