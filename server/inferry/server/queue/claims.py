"""Tasks that were taken out of the queue for a server. Pure."""

from collections import Counter

from inferry.server.queue.fair_queue import Waiting
from inferry.server.queue.missing import Pair, pair_of


class Claims:
    """Those that are being claimed, and those that a claim did not get.

    The first ones wait, as far as anybody knows. What became of the others is doubtful: a gateway
    that was quicker says so before long, or the store is asked.
    """

    def __init__(self) -> None:
        self._claiming: dict[str, Waiting] = {}
        self._doubted: dict[str, Waiting] = {}
        #: Those that were doubtful when it was last looked for them.
        self._long_doubted: list[str] = []

    def __len__(self) -> int:
        """Counts those that are being claimed."""
        return len(self._claiming)

    def __contains__(self, task_id: object) -> bool:
        """Whether a task is here, be it doubtful or not."""
        return task_id in self._claiming or task_id in self._doubted

    def claims(self, task_id: str) -> bool:
        """Whether a task is being claimed."""
        return task_id in self._claiming

    def pairs(self) -> Counter[Pair]:
        """Counts those that are being claimed by tenant and type."""
        return Counter(pair_of(one.line) for one in self._claiming.values())

    def begin(self, task: Waiting) -> None:
        """A task is being claimed."""
        self._claiming[task.id] = task

    def end(self, task_id: str) -> Waiting | None:
        """A task is not any more; None if it was not."""
        return self._claiming.pop(task_id, None)

    def doubt(self, task: Waiting) -> None:
        """The claim of a task did not get it."""
        self._doubted[task.id] = task

    def pop(self, task_id: str) -> Waiting | None:
        """It is known what became of a task; None if it is not here."""
        return self._claiming.pop(task_id, None) or self._doubted.pop(task_id, None)

    def take_doubted(self, *, long: bool) -> list[Waiting]:
        """Lets doubtful tasks out: all, or those that were so the last time, too."""
        ids = [one for one in self._long_doubted if one in self._doubted] if long else self._doubted
        taken = [self._doubted.pop(task_id) for task_id in [*ids]]
        self._long_doubted = [*self._doubted]
        return taken

    def forget_doubts(self) -> None:
        """All that waits is to be read anyway."""
        self._doubted.clear()
