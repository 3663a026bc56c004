"""Whether the counts of one who hears of changes late are off, or only late. Pure."""

from collections.abc import Mapping

from inferry.server.queue.missing import Pair

#: Looks before anything is taken to be off.
_LOOKS = 5


class Drift:
    """Compares counts that are never taken at the same moment.

    What is late is as often too little as too much, or soon gone; what is off stays so.
    """

    def __init__(self) -> None:
        self._looks = 0
        #: Of each tenant and type that was off at all looks so far: the least and the most.
        self._off: dict[Pair, tuple[int, int]] = {}

    def look(self, more: Mapping[Pair, int]) -> dict[Pair, int]:
        """Takes by how much the true counts were found to be more; less is below 0.

        Returns:
            By how much they are in any case, after as many looks as it takes.
        """
        if not self._looks:
            self._off = {pair: (count, count) for pair, count in more.items() if count}
        else:
            self._off = {
                pair: (min(least, more[pair]), max(most, more[pair]))
                for pair, (least, most) in self._off.items()
                if more.get(pair)
            }
        self._looks = (self._looks + 1) % _LOOKS
        if self._looks:
            return {}
        sure = {pair: max(least, 0) or min(most, 0) for pair, (least, most) in self._off.items()}
        return {pair: count for pair, count in sure.items() if count}
