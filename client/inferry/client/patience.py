"""How long an operation may take, and when it is tried again."""

import random
from collections.abc import Callable
from time import monotonic

from inferry.client.errors import InferryError, QueueFull, Unavailable

#: Told that the gateway is away: why, and in how many seconds it is tried again.
Away = Callable[[InferryError, float], object]

#: The first pause, at most; each is up to twice as long as the one before.
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0
_STEPS = 8

#: A gateway that was away for so long is given up by who waits or watches.
AWAY_S = 60.0
#: A stream that lasted longer stood, even if there was nothing to hear: to connect takes less.
_STOOD_S = 30.0


def jitter_s(number: int, share: Callable[[], float] = random.random) -> float:
    """Gives the pause before a repetition: anything up to its most, in seconds.

    So many clients do not come back at once.

    Args:
        number: Of the repetition, from 0.
        share: Gives 0 to 1.
    """
    return share() * min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * (1 << min(number, _STEPS)))


def in_silence(_error: InferryError, _pause_s: float) -> None:
    """Tells nobody that the gateway is away."""


class Patience:
    """Of one operation: a total time for all its calls and pauses, and a number of repetitions.

    Args:
        timeout_s: The total time; None for as long as it takes.
        retries: Repetitions at most.
        now_s: A clock that never goes back.
        share: Gives 0 to 1, for pauses.
    """

    def __init__(
        self,
        timeout_s: float | None,
        retries: int,
        now_s: Callable[[], float] = monotonic,
        share: Callable[[], float] = random.random,
    ) -> None:
        self._now_s = now_s
        self._share = share
        self._ends_s = None if timeout_s is None else now_s() + timeout_s
        self._retries = retries
        self._tried = 0

    def left_s(self) -> float | None:
        """Tells how long it may still take, 0 at least; None for as long as it takes."""
        return None if self._ends_s is None else max(0.0, self._ends_s - self._now_s())

    def pause_s(self, error: InferryError, *, safe: bool) -> float | None:
        """Tells how long to wait before the next try; None when there is to be none.

        Args:
            error: What the last try ended with.
            safe: Whether a second call does no harm if the first one was heard.
        """
        if not _passes(error, safe=safe) or self._tried >= self._retries:
            return None
        asked_s = error.retry_after if isinstance(error, Unavailable | QueueFull) else None
        # Whoever was told when to come back comes a little later, each at another time.
        pause_s = jitter_s(self._tried, self._share) + (asked_s or 0.0)
        left_s = self.left_s()
        if left_s is not None and pause_s >= left_s:
            return None
        self._tried += 1
        return pause_s


class Absence:
    """Of the gateway, as something that is to go on notices it: a stream, or call after call.

    Args:
        patience: For the time before it was there at all; None treats that as any other absence.
        now_s: A clock that never goes back.
    """

    def __init__(
        self, patience: Patience | None = None, now_s: Callable[[], float] = monotonic
    ) -> None:
        self._patience = patience
        self._now_s = now_s
        self._tried_s: float | None = None
        self._since_s: float | None = None
        self._pauses = 0

    def tried(self) -> None:
        """A stream begins."""
        self._tried_s = self._now_s()

    def over(self) -> None:
        """The gateway is there."""
        self._patience = None
        self._since_s, self._pauses = None, 0

    def pause_s(self, error: InferryError) -> float | None:
        """Tells how long to wait before the next try; None when there is no sense in another."""
        now_s = self._now_s()
        if self._tried_s is not None and now_s - self._tried_s > _STOOD_S:
            self.over()
        if self._patience is not None:
            return self._patience.pause_s(error, safe=True)
        if self._since_s is None:
            self._since_s = now_s
        if not isinstance(error, Unavailable | QueueFull) or now_s - self._since_s > AWAY_S:
            return None
        self._pauses += 1
        return jitter_s(self._pauses - 1) + (error.retry_after or 0.0)


def _passes(error: InferryError, *, safe: bool) -> bool:
    """Whether another try may do better, and does no harm."""
    return isinstance(error, QueueFull) or (
        isinstance(error, Unavailable) and (safe or error.refused)
    )
