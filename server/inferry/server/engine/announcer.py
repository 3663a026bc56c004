"""Tells of what was committed: in the log, and to those who wait for it."""

import logging

import structlog

from inferry.server.engine.alarm import Alarm
from inferry.server.engine.signals import Signals
from inferry.server.engine.tracing import note_trace
from inferry.server.errors import InferryError
from inferry.server.task.record import Outcome, TaskRecord

_log = structlog.get_logger(__name__)


class Announcer:
    """Tells of changes of tasks.

    Args:
        signals: Who waits for news of a task.
        alarm: Is told of each deadline.
    """

    def __init__(self, signals: Signals, alarm: Alarm) -> None:
        self._signals = signals
        self._alarm = alarm
        # Bound once: for each line, also one that goes nowhere, a lazy logger is looked up anew.
        self._log = _log.bind()
        #: Whether each change has a line, too.
        self._tells_all = self._log.is_enabled_for(logging.DEBUG)

    def announce(self, record: TaskRecord, outcome: Outcome | None = None) -> None:
        """Tells of a change of a task; ``outcome`` comes with its end."""
        note_trace(record)
        final = record.status.final
        if final or self._tells_all:
            say = self._log.info if final else self._log.debug
            say(
                "task ended" if final else "task changed",
                task_id=record.spec.id,
                status=record.status.name,
                seq=record.seq,
                attempt=record.attempt,
                server_id=record.server_id,
                **({"code": record.code, "error": record.error} if record.code else {}),
            )
        self._alarm.note(record.deadline_ms)
        self._signals.ring(record, outcome)


def note_purged(result: int | InferryError) -> None:
    """Final tasks were dropped: nothing in memory was theirs."""
    if isinstance(result, int) and result:
        _log.info("purged", tasks=result)


def note_postponed(result: int | InferryError) -> None:
    """Deadlines were put off: they are read where they are stored."""
    if isinstance(result, int) and result:
        _log.info("deadlines postponed", tasks=result)
