"""Leases: how long a server keeps its attempts without a sign of life. Pure.

A server holds the *lease* of all that it has, whatever brings it there. Each sign of life renews
it: a connection that a probe can make, a heartbeat, a report, an answer. That its time is over is
not enough, for silence is no death: an attempt is *doomed* when its server could not be reached
twice in a row while it had it, and lost when, besides, the lease is over. What a worker has that is
without a stream is lost when that is over: nobody but itself can reach it. (Design section 6.)
"""

from collections.abc import Collection
from dataclasses import dataclass

#: Names an attempt: its task, and its number.
AttemptKey = tuple[str, int]

_NONE: frozenset[AttemptKey] = frozenset()


@dataclass(slots=True)
class Lease:
    """The lease of one server."""

    #: It counts from here at the earliest: since when this gateway looks after the server.
    since_ms: int = 0
    #: The last sign of life; 0 for never.
    seen_ms: int = 0
    #: The attempts that the server had when it could not be reached.
    missed: frozenset[AttemptKey] = _NONE
    #: Those of them that it still had the next time that it could not.
    doomed: frozenset[AttemptKey] = _NONE

    def grant(self, now_ms: int) -> None:
        """Has it count from now on, at the earliest."""
        self.since_ms = now_ms

    def renew(self, now_ms: int) -> None:
        """Takes a sign of life: nothing is doomed, and the time begins anew."""
        self.seen_ms = max(self.seen_ms, now_ms)
        self.missed = self.doomed = _NONE

    def miss(self, holding: Collection[AttemptKey]) -> None:
        """Takes note that the server could not be reached, and what it had then."""
        missed = frozenset(holding)
        self.doomed = self.missed & missed
        self.missed = missed

    def ends_ms(self, length_ms: int) -> int:
        """Tells when what is doomed is lost; 0 when nothing is doomed.

        Args:
            length_ms: How long a lease is.
        """
        return self.begun_ms + length_ms if self.doomed else 0

    def bury(self, lost: Collection[AttemptKey]) -> None:
        """Takes note that attempts were ended that were doomed."""
        self.doomed = self.doomed.difference(lost)

    @property
    def begun_ms(self) -> int:
        """When its time began: with the last sign of life, or when it was granted."""
        return max(self.since_ms, self.seen_ms)
