"""Reports of finished work, kept until the gateway has them."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

from inferry.backend.attempt import AttemptKey, Report
from inferry.backend.spool import Spool

#: From here on no more work is taken.
LIMIT_BYTES = 64 * 1024 * 1024
#: What a report costs beside what it says.
_EACH_BYTES = 1024


class Outbox:
    """Keeps last reports.

    Args:
        folder: Where they are kept, too, to outlive this process; None keeps them in memory alone.
        now_us: The time in microseconds: the first number, larger than those of earlier processes.
    """

    def __init__(
        self, folder: Path | None, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._spool = None if folder is None else Spool(folder)
        kept = [] if self._spool is None else self._spool.load()
        self._reports: dict[AttemptKey, Report] = {report.key: report for report in kept}
        self._bytes = sum(map(_weight, kept))
        last = max((report.number for report in kept), default=0)
        self._numbers = itertools.count(max(last + 1, now_us()))

    @property
    def full(self) -> bool:
        """Whether no more work should be taken."""
        return self._bytes >= LIMIT_BYTES

    @property
    def spool(self) -> Spool | None:
        """Where reports are kept, too."""
        return self._spool

    def number(self) -> int:
        """Gives a report its number."""
        return next(self._numbers)

    def add(self, report: Report) -> None:
        """Keeps a last report; on disk before it returns, if there is a folder.

        Raises:
            OSError: It cannot be written there; it is kept in memory.
        """
        self.remove(report.key)
        self._reports[report.key] = report
        self._bytes += _weight(report)
        if self._spool is not None:
            self._spool.write(report)

    def remove(self, key: AttemptKey) -> None:
        """Forgets a report: the gateway has it, or will not have it."""
        report = self._reports.pop(key, None)
        if report is not None:
            self._bytes -= _weight(report)
            if self._spool is not None:
                self._spool.remove(report)

    def get(self, key: AttemptKey) -> Report | None:
        """Finds the last report of an attempt."""
        return self._reports.get(key)

    def reports(self) -> list[Report]:
        """Gives all, the oldest first."""
        return list(self._reports.values())


def _weight(report: Report) -> int:
    return report.update.ByteSize() + _EACH_BYTES
