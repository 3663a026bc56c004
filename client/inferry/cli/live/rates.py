"""How many tasks come and go a second."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from inferry.v1.task_pb2 import Task, TaskEvent

#: Seconds that count.
WINDOW_S = 10

_BAD = frozenset({Task.FAILED, Task.TIMEOUT})


@dataclass(slots=True)
class _Second:
    number: int
    created: int = 0
    ended: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """What came and went lately."""

    created_s: float
    ended_s: float
    #: Share of what ended that FAILED or is a TIMEOUT, 0 to 1; None if nothing ended.
    bad: float | None


class Rates:
    """Counts the events of the last ``WINDOW_S`` whole seconds.

    Args:
        monotonic_s: The clock.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._began_s = monotonic_s()
        self._seconds: deque[_Second] = deque(maxlen=WINDOW_S + 1)

    def count(self, event: TaskEvent) -> None:
        """Counts an event that has just happened."""
        if event.kind == TaskEvent.CREATED:
            self._now().created += 1
        elif event.kind == TaskEvent.FINISHED:
            second = self._now()
            second.ended += 1
            second.bad += event.status in _BAD

    def flow(self) -> Flow:
        """Tells what came and went in the window, or since the beginning if that is shorter."""
        now_s = self._monotonic_s()
        counted = [one for one in self._seconds if one.number > math.floor(now_s) - WINDOW_S]
        # The second that runs counts as far as it has come.
        window_s = now_s - max(self._began_s, math.floor(now_s) - WINDOW_S + 1)
        ended = sum(one.ended for one in counted)
        if window_s <= 0:
            return Flow(0.0, 0.0, None)
        created = sum(one.created for one in counted)
        bad = sum(one.bad for one in counted) / ended if ended else None
        return Flow(created / window_s, ended / window_s, bad)

    def _now(self) -> _Second:
        number = math.floor(self._monotonic_s())
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        return self._seconds[-1]
