"""What tasks may be asked for beyond what the store finds by its indexes: they are looked through.

How many are looked through in one call has a limit, whether they match or not: who lists goes on
after the last one.
"""

from dataclasses import dataclass

from inferry.server.figures.failures import fingerprint_of
from inferry.server.task.record import Status, TaskRecord

#: Tasks looked at in one call, whether they match or not.
SCAN_LIMIT = 10_000
#: Tasks read at once.
SCAN_STEP = 500
#: Tasks are numbered nearly in the order of their times: replicas' clocks may differ so far.
_SKEW_MS = 60_000
_BAD_ENDS = frozenset({Status.FAILED, Status.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which of the tasks that a list has are meant; 0, None and "" let all pass."""

    created_since_ms: int = 0
    #: No task that has not ended, whatever the time.
    finished_since_ms: int | None = None
    #: What failures have in common: see ``figures.failures``.
    fingerprint: str = ""
    #: Before the first there is no task: that is another wish than none.
    finished_before_ms: int | None = None

    def passes(self, record: TaskRecord) -> bool:
        """Whether a task is one of them."""
        if record.spec.created_ms < self.created_since_ms:
            return False
        since, before = self.finished_since_ms, self.finished_before_ms
        if since is not None and record.finished_ms < max(since, 1):
            return False
        if before is not None and record.finished_ms >= before:
            return False
        return not self.fingerprint or (
            record.status in _BAD_ENDS
            and fingerprint_of(record.spec.type, record.code, record.error) == self.fingerprint
        )

    def is_past(self, record: TaskRecord) -> bool:
        """Whether no task after this one passes, where the newest come first."""
        return record.spec.created_ms < self.created_since_ms - _SKEW_MS


#: Lets all pass.
OPEN = Sieve()


@dataclass(frozen=True, slots=True)
class Selected:
    """Tasks that passed, newest first, each with its number."""

    tasks: list[tuple[int, TaskRecord]]
    #: Where to go on; None when all were looked at.
    before: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many tasks there are."""

    tasks: int
    #: Whether there are more, or may be.
    more: bool
