"""Who may send how much at once, so that a host that is dead takes nobody else's turn. Pure."""

from collections import Counter

#: Hosts whose trouble is remembered.
_TROUBLED_KEPT = 10_000


class Slots:
    """Counts deliveries that are on their way.

    A host whose last delivery failed gets one at a time, and all such hosts together half of all.

    Args:
        per_host: At once to a host.
        at_once: To all of them.
    """

    def __init__(self, per_host: int, at_once: int) -> None:
        self._per_host = per_host
        self._at_once = at_once
        self._used: Counter[str] = Counter()
        #: In the order in which they fell into it.
        self._troubled: dict[str, None] = {}
        self._troubled_used = 0

    def room(self, host: str) -> int:
        """Tells how many more may go to a host, if all that is free were its own."""
        free = self._at_once - self._used.total()
        if host not in self._troubled:
            return max(0, min(self._per_host - self._used[host], free))
        free = min(free, max(1, self._at_once // 2) - self._troubled_used)
        return max(0, min(1 - self._used[host], free))

    def take(self, host: str, slots: int) -> None:
        """Counts some that are on their way, or about to be."""
        self._used[host] += slots
        self._troubled_used += slots * (host in self._troubled)

    def give(self, host: str, slots: int) -> None:
        """Counts some that are not any more."""
        self.take(host, -slots)
        if not self._used[host]:
            del self._used[host]

    def judge(self, host: str, *, good: bool) -> None:
        """Takes how one went."""
        if good and host in self._troubled:
            del self._troubled[host]
            self._troubled_used -= self._used[host]
        elif not good and host not in self._troubled:
            self._troubled[host] = None
            self._troubled_used += self._used[host]
            if len(self._troubled) > _TROUBLED_KEPT:
                self.judge(next(iter(self._troubled)), good=True)

    @property
    def on_the_way(self) -> int:
        """How many are."""
        return self._used.total()
