"""The life of an attempt at its backend: one table, and what is told at each step.

An attempt is RUNNING until its end is known, and STOPPING when its end is known and its work has
yet to stop. Its slot is held through both. What work gives that was told to stop is dropped: in
STOPPING nothing is told any more but that the work has stopped.
"""

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    """How an attempt stands."""

    #: Its work goes on.
    RUNNING = auto()
    #: Its end is known; its work is to stop.
    STOPPING = auto()
    #: Its work has stopped: the slot is free.
    GONE = auto()


class Event(Enum):
    """What happens to an attempt."""

    #: Its work ended by itself, well or badly.
    FINISHED = auto()
    #: Its work said something.
    SAID = auto()
    #: The gateway wants no more of it.
    CANCELLED = auto()
    #: Its time is over.
    EXPIRED = auto()
    #: The backend stops and cannot wait any longer.
    INTERRUPTED = auto()


class Tell(Enum):
    """What the gateway is told."""

    NOTHING = auto()
    #: How far the work is.
    PROGRESS = auto()
    #: The end, which the work gave.
    END = auto()
    #: The end, which the backend gave.
    VERDICT = auto()
    #: That the work has stopped.
    STOPPED = auto()


TABLE: Mapping[tuple[State, Event], tuple[State, Tell]] = {
    (State.RUNNING, Event.SAID): (State.RUNNING, Tell.PROGRESS),
    (State.RUNNING, Event.FINISHED): (State.GONE, Tell.END),
    (State.RUNNING, Event.CANCELLED): (State.STOPPING, Tell.NOTHING),
    (State.RUNNING, Event.EXPIRED): (State.STOPPING, Tell.VERDICT),
    (State.RUNNING, Event.INTERRUPTED): (State.STOPPING, Tell.VERDICT),
    (State.STOPPING, Event.SAID): (State.STOPPING, Tell.NOTHING),
    (State.STOPPING, Event.FINISHED): (State.GONE, Tell.STOPPED),
    (State.STOPPING, Event.CANCELLED): (State.STOPPING, Tell.NOTHING),
    (State.STOPPING, Event.EXPIRED): (State.STOPPING, Tell.NOTHING),
    (State.STOPPING, Event.INTERRUPTED): (State.STOPPING, Tell.NOTHING),
}
