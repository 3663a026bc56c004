"""Which stopped attempts have servers that know so: replicas tell each other.

A server says so where it calls back, and whoever has it stopped may be another replica.
"""

from collections.abc import Collection, Sequence

from inferry.server.clock import Clock
from inferry.server.fleet.lease import AttemptKey

#: How long it is told, and of how many attempts at most. What is not heard costs a few calls more.
_TOLD_MS, _LIMIT = 10_000, 1_000


class Stops:
    """Keeps for a while what was said here, and what was said to others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Since when it is known, oldest first.
        self._here: dict[AttemptKey, int] = {}
        #: By replica.
        self._there: dict[int, Sequence[AttemptKey]] = {}

    def note(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt has said here that it knows."""
        self._here.setdefault((task_id, attempt), self._clock.now_ms())
        if len(self._here) > _LIMIT:
            del self._here[next(iter(self._here))]

    def tell(self) -> list[AttemptKey]:
        """Lists what others are to be told."""
        since_ms = self._clock.now_ms() - _TOLD_MS
        self._here = {one: at_ms for one, at_ms in self._here.items() if at_ms > since_ms}
        return [*self._here]

    def hear(self, number: int, attempts: Sequence[AttemptKey]) -> None:
        """Takes all that another replica tells by now."""
        self._there[number] = attempts

    def heard(self, living: Collection[int]) -> list[AttemptKey]:
        """Lists what replicas tell that live.

        It is there for as long as they tell it: that an attempt was stopped may be heard later.
        """
        self._there = {number: said for number, said in self._there.items() if number in living}
        return [one for said in self._there.values() for one in said]
