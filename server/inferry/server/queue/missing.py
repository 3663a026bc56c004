"""How many waiting tasks are not in memory, by tenant and type. Pure."""

from collections import Counter
from collections.abc import Mapping

from inferry.server.queue.fair_queue import LineId
from inferry.server.task.route import type_of

#: A tenant and a type.
Pair = tuple[str, str]


class Missing:
    """Counts them."""

    def __init__(self) -> None:
        #: All of them.
        self.total = 0
        #: Whether more came in or left than there were: then the counts are wrong.
        self.drifted = False
        self._pairs: Counter[Pair] = Counter()
        self._types: Counter[str] = Counter()

    @property
    def pairs(self) -> Mapping[Pair, int]:
        """Counts those of each tenant and type of which any are missing."""
        return self._pairs

    @property
    def types(self) -> Mapping[str, int]:
        """Counts those of each type of which any are missing."""
        return self._types

    def of(self, pair: Pair) -> int:
        """Counts those of a tenant and type."""
        return self._pairs[pair]

    def of_type(self, task_type: str) -> int:
        """Counts those of a type."""
        return self._types[task_type]

    def add(self, pair: Pair, count: int) -> None:
        """Counts more, or fewer."""
        if self._pairs[pair] + count < 0:
            self.drifted = True
            return
        self.total += count
        self._pairs[pair] += count
        self._types[pair[1]] += count
        if not self._pairs[pair]:
            del self._pairs[pair]
        if not self._types[pair[1]]:
            del self._types[pair[1]]


def pair_of(line: LineId) -> Pair:
    """Tells whose tasks a line has, and of which type."""
    return line[1], type_of(line[0])
