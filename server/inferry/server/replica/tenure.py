"""A replica's tenure: how long it may act as the owner of its servers without asking. Pure.

In the store it holds a lease, which others respect until it is over by the clock of the database.
Here that is measured on the monotonic clock, from before the renewal was sent, and a little less
long: so it has ended here before anybody else may think so. While it has, nothing is given to a
server. It goes on with the next renewal, unless another replica has taken over meanwhile: then it
is *lost*, and never comes back.
"""

import time
from collections.abc import Callable
from math import inf

#: What it is shorter than the lease: clocks do not run alike, and a call takes a moment to leave.
_MARGIN = 0.1
#: After this share of a lease it is steady: each replica renews its own more often.
_STEADY = 0.5


class Tenure:
    """The tenure of this replica.

    Args:
        lease_s: How long the lease in the store is; endless for a gateway that has its store alone.
        monotonic_s: The machine's monotonic clock.
    """

    def __init__(
        self, lease_s: float = inf, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._lease_s = lease_s
        self._monotonic_s = monotonic_s
        self._ends_s = inf if lease_s == inf else 0.0
        #: When it began, or went on after it had ended.
        self._began_s = monotonic_s()
        self._lost = False

    @property
    def holds(self) -> bool:
        """Whether this replica may act as an owner now."""
        return self._monotonic_s() < self._ends_s and not self._lost

    @property
    def steady(self) -> bool:
        """Whether it has held for so long that others had time to renew theirs, too.

        After a time without the database all leases are over at once: nobody is dead for that.
        """
        return self.holds and self._monotonic_s() - self._began_s >= self._lease_s * _STEADY

    def begin_renewal(self) -> float:
        """Has to be called before a renewal is sent; ``renewed`` wants what it returns."""
        return self._monotonic_s()

    def renewed(self, begun_s: float) -> None:
        """The store has the renewal; one that is answered late is worth as much less."""
        if not self.holds:
            self._began_s = self._monotonic_s()
        self._ends_s = max(self._ends_s, begun_s + self._lease_s * (1 - _MARGIN))

    def lose(self) -> None:
        """Others have taken over: it is over for good."""
        self._lost = True
