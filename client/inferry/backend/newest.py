"""Which attempts were here lately: one that is sent again is not worked on again. Pure."""

from collections import OrderedDict
from collections.abc import Callable

from inferry.backend.attempt import AttemptKey

#: Tasks that are known beside those that are worked on.
REMEMBERED = 4_096


class Newest:
    """Remembers the newest attempt of each task.

    Args:
        slots: How many are worked on at once.
        held: Tells whether an attempt is: those are not forgotten.
    """

    def __init__(self, slots: int, held: Callable[[AttemptKey], bool]) -> None:
        self._most = REMEMBERED + slots
        self._held = held
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def of(self, task_id: str) -> int:
        """Gives the number of a task's newest attempt; 0 if none was here."""
        return self._numbers.get(task_id, 0)

    def note(self, task_id: str, attempt: int) -> None:
        """Takes note of an attempt, newer than those before."""
        self._numbers[task_id] = attempt
        self._numbers.move_to_end(task_id)
        # There are fewer that are held than are kept: it comes to one that is not.
        while len(self._numbers) > self._most:
            oldest = next(iter(self._numbers.items()))
            if self._held(oldest):
                self._numbers.move_to_end(oldest[0])
            else:
                del self._numbers[oldest[0]]
