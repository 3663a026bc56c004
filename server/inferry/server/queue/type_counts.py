"""How many tasks of a type are in the queue. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from inferry.server.queue.fair_queue import FairQueue
from inferry.server.queue.missing import Pair
from inferry.server.task.route import type_of


@dataclass(frozen=True, slots=True)
class TypeCount:
    """The tasks of one type that are in the queue."""

    #: Those that are due.
    waiting: int
    #: Those whose time has not come.
    delayed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.delayed


def count_types(
    queue: FairQueue, claiming: Mapping[Pair, int], missing: Mapping[str, int]
) -> dict[str, TypeCount]:
    """Counts what waits by type. It takes a step for each line and each delayed task.

    Args:
        queue: What is in memory.
        claiming: How many are being claimed.
        missing: How many are missing by type: they count as due, for only the store knows.
    """
    waiting, delayed = Counter(missing), Counter[str]()
    for route, count in queue.due_by_route().items():
        waiting[type_of(route)] += count
    for (_, task_type), count in claiming.items():
        waiting[task_type] += count
    for route, count in queue.delayed_by_route().items():
        delayed[type_of(route)] += count
    return {name: TypeCount(waiting[name], delayed[name]) for name in waiting | delayed}
