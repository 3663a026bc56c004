"""What the transaction that runs has logged, each event at its position."""

from secrets import randbits

from inferry.server.store import POSITION_BITS
from inferry.server.store.operations import Epoch, Logged
from inferry.server.task.record import Event, Outcome, TaskRecord

_TAG_BITS = 63


class Journal:
    """Hands out the positions of one start of the gateway: those of a rollback are given again.

    Args:
        epoch: The start.
    """

    def __init__(self, epoch: Epoch) -> None:
        self.epoch = epoch
        #: The last position that is on disk.
        self._last = epoch.number << POSITION_BITS
        self._logged: list[Logged] = []

    def __len__(self) -> int:
        """Counts what the transaction has logged."""
        return len(self._logged)

    @property
    def head(self) -> int:
        """The number of the last event of this start, those of the transaction included."""
        return (self._last + len(self._logged)) % (1 << POSITION_BITS)

    def add(
        self, event: Event, record: TaskRecord, outcome: Outcome | None, before: int = 0
    ) -> int:
        """Logs an event; returns its position.

        Args:
            event: The event.
            record: The task as it left it.
            outcome: What it left stored of the task's end.
            before: Position of the task's event before it, if another start may have logged that.
        """
        position = self._last + len(self._logged) + 1
        after = 0 if before >> POSITION_BITS == self.epoch.number else before
        self._logged.append(Logged(position, event, record, outcome, after))
        return position

    def cut(self, length: int) -> None:
        """Forgets what was logged after that: it was rolled back."""
        del self._logged[length:]

    def seal(self) -> list[Logged]:
        """Takes what was logged: it is on disk."""
        sealed, self._logged = self._logged, []
        self._last += len(sealed)
        return sealed


def new_epoch(before: int) -> Epoch:
    """Begins the epoch after a number, with a tag of its own."""
    return Epoch(before + 1, randbits(_TAG_BITS))
