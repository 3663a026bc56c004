"""Time, passed in: what the core and the loops know of it.

A machine's clock may be set at any moment: by its owner, by NTP, or because the machine slept. Were
deadlines measured by it, an hour forward would end all tasks at once, and an hour back would have
them stall. So inside a process time goes by the monotonic clock. It begins with the wall's time and
is slewed towards it, too slowly for any timeout to notice.
"""

import time
from collections.abc import Callable
from typing import Protocol

#: While it is slewed, time gains or loses one part in so many. In an attempt of 300 s these are
#: 1.5 s, less than the gateway waits for a server's own word.
SLEW = 200

_MS_NS = 1_000_000
#: Between two looks at the wall.
_LOOK_NS = 1_000_000_000
#: A wall that went so much further than time between two looks, or so much less far, was set.
_STEP_NS = 1_000_000_000

#: Hears that the wall was set: by how much, and how far it is ahead now, in ms.
Stepped = Callable[[int, int], None]


class Clock(Protocol):
    """The gateway's time: it never goes back, and passes as fast as it does elsewhere.

    Only ``SystemClock`` promises neither: whoever takes that says so.
    """

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's wall clock: for times that others made by theirs, as those in tokens."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // _MS_NS


class SteadyClock:
    """A ``Clock`` that goes by the monotonic clock and is slewed towards the wall's.

    Args:
        stepped: Called once each time that the wall was set.
        wall: The machine's wall clock.
        monotonic_ns: The machine's monotonic clock; from when it counts does not matter.
    """

    def __init__(
        self,
        stepped: Stepped,
        wall: Clock | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        #: What it is slewed towards.
        self.wall: Clock = wall or SystemClock()
        self._stepped = stepped
        self._monotonic_ns = monotonic_ns
        # The last look: the monotonic clock then, the wall, the time, and how far that was behind.
        self._looked_ns = monotonic_ns()
        self._wall_ns = self._then_ns = self.wall.now_ms() * _MS_NS
        self._behind_ns = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC, nearly."""
        passed_ns = self._monotonic_ns() - self._looked_ns
        if passed_ns >= _LOOK_NS:
            self._look(passed_ns)
            passed_ns = 0
        return self._time_ns(passed_ns) // _MS_NS

    def reach(self, at_ms: int) -> None:
        """Goes forward at once to a time that is known to have been; no error if it is over."""
        self._look(self._monotonic_ns() - self._looked_ns)
        self._then_ns = max(self._then_ns, at_ms * _MS_NS)
        self._behind_ns = self._wall_ns - self._then_ns

    def catch_up(self) -> None:
        """Goes forward to the wall at once: for a moment in which nothing depends on the time."""
        self.reach(self.wall.now_ms())

    def _time_ns(self, passed_ns: int) -> int:
        most_ns = passed_ns // SLEW
        return self._then_ns + passed_ns + max(-most_ns, min(most_ns, self._behind_ns))

    def _look(self, passed_ns: int) -> None:
        wall_ns = self.wall.now_ms() * _MS_NS
        set_ns = wall_ns - self._wall_ns - passed_ns
        self._then_ns = self._time_ns(passed_ns)
        self._looked_ns += passed_ns
        self._wall_ns = wall_ns
        self._behind_ns = wall_ns - self._then_ns
        if abs(set_ns) >= _STEP_NS:
            self._stepped(set_ns // _MS_NS, self._behind_ns // _MS_NS)


def nap_s(now_ms: int, until_ms: int) -> float:
    """Tells how long to sleep until a time, in seconds; 0 if it is over.

    A little less than it takes: a clock that catches up gains on whoever sleeps. Who wakes early
    looks again.
    """
    return max(0, until_ms - now_ms) * (SLEW - 1) / SLEW / 1_000
