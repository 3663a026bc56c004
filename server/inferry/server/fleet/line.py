"""A worker's line: how it stands with the stream that the worker opened, and its credit. Pure.

The worker says how many assignments it takes in all on its stream, a number that only grows. What
it has been given, and what is promised to it by claims under way, never exceeds that.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from inferry.server.fleet.lease import AttemptKey


class Connection(IntEnum):
    """How it stands with a worker's stream; numbered as ``inferry.v1.Server.Connection``."""

    #: It has a stream and can take work.
    CONNECTED = 1
    #: It has a stream, and its models load.
    LOADING = 2
    #: It has a stream, but the loop of its handlers lags: it gets no more.
    STALLED = 3
    #: Its stream ended, or it was told to open another one; what it holds is kept for it.
    RECONNECTING = 4
    #: It has had no stream for longer than that.
    GONE = 5


#: Without a stream that work could go on.
APART = frozenset({Connection.RECONNECTING, Connection.GONE})


@dataclass(slots=True)
class Line:
    """What is known of a worker's stream."""

    connection: Connection = Connection.RECONNECTING
    #: Assignments that the worker takes in all on its stream.
    granted: int = 0
    #: Assignments that were given to its stream.
    assigned: int = 0
    #: Attempts whose slots are taken, and which are about to be given to the stream.
    due: set[AttemptKey] = field(default_factory=set)
    #: Whether more waits to be sent to it than may.
    clogged: bool = False
    #: Whether it said goodbye.
    leaving: bool = False
    #: How far the loop of its handlers lags, by its own word.
    lag_ms: int = 0
    #: For how long it had credit in all while work waited that it could have done.
    idle_ms: int = 0

    def begin(self, connection: Connection) -> None:
        """Begins with a new stream: nothing was granted on it or given to it."""
        self.connection = connection
        self.granted = self.assigned = 0
        self.due.clear()
        self.clogged = self.leaving = False

    def credit(self, reserved: int) -> int:
        """Tells how many assignments it can get now.

        Args:
            reserved: Slots that claims under way may fill.
        """
        if self.clogged or self.leaving:
            return 0
        return max(0, self.granted - self.assigned - len(self.due) - reserved)
