"""Reads of tasks beside commits: which of what was read is older than what is known by now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inferry.server.task.record import TaskRecord

#: Tells whether a record that was read is no older than what own commits left of its task.
Fresh = Callable[[TaskRecord], bool]


class Reads:
    """The reads that are under way, each with what own commits changed meanwhile.

    A read sees a moment of the store; when its answer is looked at, own commits may have gone on.
    What they left is known already, and is newer.
    """

    def __init__(self) -> None:
        self._under_way: list[dict[str, int]] = []

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @contextmanager
    def begin(self) -> Iterator[Fresh]:
        """Has to be entered before a read, and left when its answer has been looked at.

        Yields:
            What tells whether a record of the answer counts. It may be asked once the commit that
            was under way at the end of the read has settled: see ``Committer.settled``.
        """
        changed: dict[str, int] = {}
        self._under_way.append(changed)
        try:
            yield lambda record: record.seq >= changed.get(record.spec.id, 0)
        finally:
            # Not ``remove``: another read that knows as much is equal to this one.
            at = next(at for at, one in enumerate(self._under_way) if one is changed)
            del self._under_way[at]

    def note(self, record: TaskRecord) -> None:
        """An own commit changed a task."""
        for changed in self._under_way:
            changed[record.spec.id] = record.seq
