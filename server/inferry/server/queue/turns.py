"""Start-time fair queueing: whose turn it is among flows of different weight. Pure."""

from inferry.server.queue.ranked import Ranked


class Turns:
    """Virtual time, and what each flow has used of it.

    The flow with the lowest *tag* is next. Being served moves the time to its tag, and its tag on
    by 1/weight. A flow that comes back enters at the time or, if it was served just before, where
    it left off: so it neither saves up turns while it is away nor gains any by going. What it had
    used is forgotten when the time has passed it. (Goyal, Vin and Cheng, 1996.)
    """

    def __init__(self) -> None:
        #: Virtual time: the highest tag that was served.
        self.time = 0.0
        self._ends: Ranked[str, float] = Ranked()

    def enter(self, flow: str) -> float:
        """Tells the tag of a flow that begins to wait."""
        end = self._ends.rank(flow)
        return self.time if end is None else max(self.time, end)

    def serve(self, flow: str, tag: float, weight: float) -> float:
        """Gives a flow its turn; returns its next tag."""
        self.time = max(self.time, tag)
        end = self.time + 1 / weight
        self._ends.put(flow, end)
        while (first := self._ends.first()) is not None and first[0] <= self.time:
            self._ends.discard(first[1])
        return end
