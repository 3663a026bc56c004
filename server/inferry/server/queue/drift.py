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
        #: Of each tenant and type that is off: at how many looks in a row, and the least and the
        #: most of it.
        self._off: dict[Pair, tuple[int, int, int]] = {}

    def look(self, more: Mapping[Pair, int]) -> dict[Pair, int]:
        """Takes by how much the true counts were found to be more; less is below 0.

        Returns:
            By how much those are in any case that were off at as many looks as it takes.
        """
        off, sure = {}, {}
        for pair, count in more.items():
            if not count:
                continue
            looks, least, most = self._off.get(pair, (0, count, count))
            least, most = min(least, count), max(most, count)
            if looks + 1 < _LOOKS:
                off[pair] = looks + 1, least, most
            elif by := max(least, 0) or min(most, 0):
                sure[pair] = by
        self._off = off
        return sure
