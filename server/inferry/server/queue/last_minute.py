"""Counts what happened in the last minute. Pure."""

from collections import Counter, deque

_SPAN_S = 60


class LastMinute:
    """Happenings by key, kept by the second; None stands for those of all keys."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Counter[str | None]]] = deque()
        self._totals: Counter[str | None] = Counter()

    def note(self, key: str, now_ms: int) -> None:
        """Counts one more."""
        self._expire(now_ms)
        second = now_ms // 1_000
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Counter()))
        for one in (key, None):
            self._seconds[-1][1][one] += 1
            self._totals[one] += 1

    def count(self, key: str | None, now_ms: int) -> int:
        """Tells how many there were."""
        self._expire(now_ms)
        return self._totals[key]

    def per_second(self, key: str | None, now_ms: int) -> float:
        """Tells how many there were a second since the first of them; 0 when there were none."""
        count = self.count(key, now_ms)
        if not count:
            return 0.0
        first = next(second for second, counts in self._seconds if counts[key])
        return count / max(1.0, now_ms / 1_000 - first)

    def _expire(self, now_ms: int) -> None:
        second = now_ms // 1_000
        while self._seconds and self._seconds[0][0] <= second - _SPAN_S:
            _, counts = self._seconds.popleft()
            self._totals -= counts
