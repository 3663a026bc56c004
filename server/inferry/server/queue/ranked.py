"""A heap whose members may be re-ranked and may leave from the middle. Pure."""

from collections.abc import Hashable, ItemsView, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)
#: Numbers, or tuples that compare. Members of equal rank go by themselves.
Rank = TypeVar("Rank")

#: Entries that a heap may have beyond twice its members before it is made anew.
_SLACK = 64


class Ranked(Generic[Member, Rank]):
    """Members by rank, lowest first. Each step takes logarithmic time.

    Whoever leaves or moves stays in the heap as a stale entry until it comes up or until more than
    half of the entries are stale: the heap takes no more than twice the room it needs.
    """

    def __init__(self) -> None:
        self._ranks: dict[Member, Rank] = {}
        # Any: the heap compares ranks, which no type in the language can say of all of them.
        self._heap: list[tuple[Any, Member]] = []

    def __iter__(self) -> Iterator[Member]:
        return iter(self._ranks)

    def items(self) -> ItemsView[Member, Rank]:
        """Shows the members with their ranks, in no order."""
        return self._ranks.items()

    def rank(self, member: Member) -> Rank | None:
        """Tells a member's rank; None if it is none."""
        return self._ranks.get(member)

    def put(self, member: Member, rank: Rank) -> None:
        """Adds a member or gives it another rank."""
        self._ranks[member] = rank
        heappush(self._heap, (rank, member))
        if len(self._heap) > 2 * len(self._ranks) + _SLACK:
            self._heap = [(ranked, one) for one, ranked in self._ranks.items()]
            heapify(self._heap)

    def discard(self, member: Member) -> None:
        """Removes a member; no error if it is none."""
        self._ranks.pop(member, None)

    def first(self) -> tuple[Rank, Member] | None:
        """Finds the member with the lowest rank; None when there are none."""
        heap = self._heap
        while heap:
            rank, member = heap[0]
            if self._ranks.get(member) == rank:
                return rank, member
            heappop(heap)
        return None
