"""The attempts of one worker, and how far each has come. Pure.

====================  ======================================================================
``GIVEN``             It was given to the stream, and not acknowledged yet.
``TAKEN``             The worker acknowledged it.
``UNSURE``            It was given on a stream that ended, or by a gateway that stopped, before it
                      was acknowledged: only the worker knows whether it was taken.
``STOPPING``          It has ended here, and the worker is to stop.
====================  ======================================================================

One that is not here is none of the worker's: it is told to stop what it has of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from inferry.server.carriers.worker.rules import NEVER_MS
from inferry.server.fleet.lease import AttemptKey
from inferry.v1.worker_pb2 import AttemptCancel, AttemptRef
from inferry.wire.held import mark

#: Called once when a worker has stopped, or that cannot be known.
Stopped = Callable[[], None]


class Phase(Enum):
    """How far an attempt has come with its worker."""

    GIVEN = auto()
    TAKEN = auto()
    UNSURE = auto()
    STOPPING = auto()


@dataclass(slots=True)
class Hold:
    """An attempt with its worker."""

    phase: Phase
    #: Its share in the hash.
    mark: int
    #: Its place among the assignments that left on the stream, from 1; 0 on an earlier stream, None
    #: before it left.
    number: int | None = None
    #: Final reports of it that are being written.
    reporting: int = 0
    #: Of one that stops: what is called when it has, and what the worker is told.
    stopped: Stopped | None = None
    cancel: AttemptCancel | None = None


class Holds:
    """All attempts of a worker, with the times by which something has to happen to them."""

    def __init__(self) -> None:
        self._holds: dict[AttemptKey, Hold] = {}
        #: When those that are GIVEN are taken back, and those that stop given up: first ones first.
        self._due: dict[Phase, dict[AttemptKey, int]] = {Phase.GIVEN: {}, Phase.STOPPING: {}}

    def __len__(self) -> int:
        return len(self._holds)

    def __iter__(self) -> Iterator[tuple[AttemptKey, Hold]]:
        return iter(list(self._holds.items()))

    def get(self, attempt: AttemptKey) -> Hold | None:
        """Finds an attempt; None if it is not the worker's."""
        return self._holds.get(attempt)

    def put(self, attempt: AttemptKey, phase: Phase, due_ms: int = 0) -> Hold:
        """Has an attempt come to a phase; ``due_ms`` is by when that has to end."""
        hold = self._holds.get(attempt)
        if hold is None:
            hold = self._holds[attempt] = Hold(phase, mark(*attempt))
        self._undue(attempt)
        hold.phase = phase
        if phase in self._due:
            self._due[phase][attempt] = due_ms
        return hold

    def remove(self, attempt: AttemptKey) -> Hold | None:
        """Forgets an attempt; None if it was not here."""
        self._undue(attempt)
        return self._holds.pop(attempt, None)

    def overdue(self, phase: Phase, now_ms: int) -> list[AttemptKey]:
        """Lists the attempts whose time in a phase is over."""
        found = []
        for attempt, due_ms in self._due[phase].items():
            if due_ms > now_ms:
                break
            found.append(attempt)
        return found

    def put_off(self, phase: Phase, by_ms: int) -> None:
        """Puts off the time by which attempts have to leave a phase."""
        due = self._due[phase]
        for attempt in due:
            due[attempt] += by_ms

    def due_ms(self) -> int:
        """Tells when the first time is over."""
        return min(next(iter(due.values()), NEVER_MS) for due in self._due.values())

    def told(self) -> tuple[int, int]:
        """Gives count and hash of what the worker was heard to hold."""
        return self._sum(hold for hold in self._holds.values() if hold.phase is not Phase.GIVEN)

    def expected(self, received: int) -> tuple[int, int]:
        """Gives count and hash of what the worker should hold that got so many assignments."""
        return self._sum(hold for hold in self._holds.values() if arrived(hold, received))

    def _sum(self, holds: Iterator[Hold]) -> tuple[int, int]:
        count = found = 0
        for hold in holds:
            count += 1
            found ^= hold.mark
        return count, found

    def _undue(self, attempt: AttemptKey) -> None:
        for due in self._due.values():
            due.pop(attempt, None)


def arrived(hold: Hold, received: int) -> bool:
    """Whether an attempt is not on its way any more to a worker that got so many assignments."""
    return hold.number is not None and hold.number <= received


def ref(attempt: AttemptKey) -> AttemptRef:
    """Names an attempt in a message."""
    return AttemptRef(task_id=attempt[0], attempt=attempt[1])


def key(named: AttemptRef) -> AttemptKey:
    """Reads the name of an attempt."""
    return named.task_id, named.attempt
