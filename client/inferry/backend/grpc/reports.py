"""Reports on their way over one stream after the other: numbered, acknowledged, sent again. Pure.

A last report is there until it is acknowledged. Of progress, the newest of each attempt is.
"""

from inferry.backend.attempt import AttemptKey, Report


class Reports:
    """Keeps reports in the order of their numbers.

    Args:
        kept: Last reports of before.
    """

    def __init__(self, kept: list[Report]) -> None:
        self._waiting: dict[int, Report] = {report.number: report for report in kept}
        self._sent: dict[int, Report] = {}
        #: The number of each attempt's newest progress.
        self._progress: dict[AttemptKey, int] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._waiting)

    def add(self, report: Report) -> None:
        """Takes a report; older progress of its attempt that has not been sent is dropped."""
        older = self._progress.pop(report.key, 0)
        if not report.final:
            self._waiting.pop(older, None)
            self._progress[report.key] = report.number
        self._waiting[report.number] = report

    def take(self, limit: int) -> list[Report]:
        """Takes what may be sent, ``limit`` being how many may be unacknowledged at once."""
        count = max(0, limit - len(self._sent))
        taken = [self._waiting[number] for number in list(self._waiting)[:count]]
        for report in taken:
            self._sent[report.number] = self._waiting.pop(report.number)
        return taken

    def acknowledged(self, number: int) -> Report | None:
        """Forgets a report; gives it, unless it is not known."""
        report = self._sent.pop(number, None)
        if report is not None and self._progress.get(report.key) == number:
            del self._progress[report.key]
        return report

    def again(self, report: Report) -> None:
        """Has a report sent again that was acknowledged as refused for now."""
        self._waiting = dict(sorted({**self._waiting, report.number: report}.items()))

    def rewind(self) -> None:
        """Has all sent again that was not acknowledged: the stream has ended."""
        newest = set(self._progress.values())
        left = {
            number: report
            for number, report in self._sent.items()
            if report.final or number in newest
        }
        self._waiting = dict(sorted({**left, **self._waiting}.items()))
        self._sent.clear()
