"""Reads beside commits: which of what was read is older than what is known by now.

A read sees a moment of the store; when its answer is looked at, own commits may have gone on. What
they left is known already, and is newer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from inferry.server.task.record import TaskRecord


class Since:
    """What own commits changed since a read began."""

    def __init__(self) -> None:
        self._changed: dict[str, int] = {}

    def note(self, name: str, seq: int) -> None:
        """Something is newer now."""
        self._changed[name] = max(seq, self._changed.get(name, 0))

    def fresh(self, record: TaskRecord) -> bool:
        """Whether a task that was read is no older than what is known of it."""
        return record.seq >= self._changed.get(record.spec.id, 0)

    def touched(self, name: str) -> bool:
        """Whether anything is newer of what has this id."""
        return name in self._changed


class Reads:
    """The reads that are under way."""

    def __init__(self) -> None:
        self._under_way: list[Since] = []

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @contextmanager
    def begin(self) -> Iterator[Since]:
        """Has to be entered before a read, and left when its answer has been looked at.

        Yields:
            What tells whether a part of the answer counts. It may be asked once the commit that
            was under way at the end of the read has settled: see ``Committer.settled``.
        """
        since = Since()
        self._under_way.append(since)
        try:
            yield since
        finally:
            self._under_way.remove(since)

    def note(self, name: str, seq: int = 0) -> None:
        """An own commit changed what has this id."""
        for since in self._under_way:
            since.note(name, seq)
