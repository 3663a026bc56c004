"""Which lines are being read from the store, and what happened to their tasks meanwhile. Pure."""

from collections.abc import Set as AbstractSet

from inferry.server.queue.fair_queue import LineId
from inferry.server.queue.flow import Key

#: After every task of a line.
END: Key = (2**63, "")


class LineReads:
    """The lines; what is read of one may be older than what came to it, and left it, since then."""

    def __init__(self) -> None:
        #: Each with the first task that was left out meanwhile.
        self._lines: dict[LineId, Key] = {}
        self._gone: set[str] = set()

    @property
    def gone(self) -> AbstractSet[str]:
        """Tasks that left while any line was being read: got before ``end``, they stay."""
        return self._gone

    def begin(self, line: LineId) -> None:
        """A line is being read from now on."""
        self._lines[line] = END

    def end(self, line: LineId) -> Key:
        """It has been read; returns the first task that was left out meanwhile, ``END`` if none."""
        left_out = self._lines.pop(line)
        if not self._lines:
            self._gone = set()
        return left_out

    def leave_out(self, line: LineId, key: Key) -> None:
        """A task that came to a line was left to the store."""
        if line in self._lines:
            self._lines[line] = min(self._lines[line], key)

    def note_gone(self, task_id: str) -> None:
        """A task waits no more."""
        if self._lines:
            self._gone.add(task_id)
