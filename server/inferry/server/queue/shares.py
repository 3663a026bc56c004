"""How the window of waiting tasks is shared among routes and lines, and whose turn it is. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from inferry.server.queue.fair_queue import LineId

#: This part of the window is kept for what comes while it is full.
_KEPT = 8
#: Of more routes or lines than fit, this part changes at each look.
_CHANGE = 4
#: Routes, and lines of a route, that are looked for at least.
_SEEN = 64
#: This part of the window is at most for what no server takes.
_UNSERVED = 16


class Turn(NamedTuple):
    """The lines of a route at one look."""

    #: Those that are to be in memory.
    there: list[LineId]
    #: Those that make place for others.
    out: list[LineId]
    #: Whether there are more than may be there, or may be.
    crowded: bool


def budget_of(size: int) -> int:
    """Tells how much of a window is shared out when not all fits."""
    return size - size // _KEPT


def quotas_of(
    routes: Sequence[str], reachable: Callable[[str], bool], budget: int, *, fits: bool
) -> dict[str, int]:
    """Shares a budget among routes: equally, but for those that no server takes.

    Args:
        routes: The routes.
        reachable: Whether a server could take a route's tasks.
        budget: How many tasks there may be in all.
        fits: Whether all tasks have room.
    """
    if fits:
        return dict.fromkeys(routes, budget)
    served = [route for route in routes if reachable(route)]
    unserved = [route for route in routes if route not in set(served)]
    if not served:
        return _equally(unserved, budget)
    small = budget // _UNSERVED if unserved else 0
    return _equally(served, budget - small) | _equally(unserved, small)


def _equally(routes: Sequence[str], budget: int) -> dict[str, int]:
    each, more = divmod(budget, max(1, len(routes)))
    quotas = {route: each + (place < more) for place, route in enumerate(routes)}
    return {route: quota for route, quota in quotas.items() if quota}


class Turns:
    """Where the looks at routes and lines have got to."""

    def __init__(self) -> None:
        #: The last route that was seen; empty at the beginning.
        self.route = ""
        #: The last line of a route that was seen.
        self._lines: dict[str, tuple[str, int]] = {}
        #: Of a route the line that was to go first, and the task.
        self._heads: dict[str, tuple[LineId, str]] = {}

    def routes_wanted(self, known: int, budget: int) -> int:
        """Tells how many routes are to be looked for."""
        return max(_SEEN, budget // _CHANGE if known else budget)

    def routes(
        self,
        known: Sequence[str],
        found: Sequence[str],
        wanted: int,
        budget: int,
        reachable: Callable[[str], bool],
    ) -> list[str]:
        """Chooses the routes that may have a share; those that were there longest make place.

        Args:
            known: Those that were there, in the order in which they came.
            found: Those that were found after the last one.
            wanted: How many were looked for.
            budget: How many may be there.
            reachable: Whether a server could take a route's tasks: others make place first.
        """
        there = set(known)
        new = [route for route in found if route not in there]
        served = [route for route in new if reachable(route)]
        many = max(1, budget // _CHANGE) if known else budget
        if len(served) > many and len(served) + len(known) > budget:
            served = served[:many]
            self.route = served[-1]
        else:
            self.route = found[-1] if len(found) == wanted else ""
        unserved = [route for route in (*known, *new) if not reachable(route)]
        routes = [*(route for route in known if reachable(route)), *served]
        routes = routes[max(0, len(routes) - budget) :]
        routes += unserved[: budget - len(routes)]
        for kept in (self._lines, self._heads):
            for route in kept.keys() - set(routes):
                del kept[route]
        return routes

    def line(self, route: str) -> tuple[str, int] | None:
        """Tells the last line of a route that was seen; None at the beginning."""
        return self._lines.get(route)

    def lines_wanted(self, known: int, quota: int) -> int:
        """Tells how many lines are to be looked for."""
        return max(_SEEN, quota // _CHANGE if known else quota)

    def lines(
        self,
        route: str,
        known: Sequence[LineId],
        found: Sequence[tuple[str, int]],
        wanted: int,
        quota: int,
        head: tuple[LineId, str] | None,
    ) -> Turn:
        """Chooses the lines of a route that are to be in memory.

        Args:
            route: The route.
            known: Those that were there, in the order in which they came.
            found: Those that were found after the last one.
            wanted: How many were looked for.
            quota: How many may be there.
            head: The line whose turn it is, and the task.
        """
        there = set(known)
        lines = [(route, *one) for one in found]
        new = [line for line in lines if line not in there]
        crowded = len(known) + len(new) > quota
        if crowded:
            new = new[: max(1, quota // _CHANGE) if known else quota]
        spared = self._spare(route, head)
        out = [line for line in known if line != spared][: max(0, len(known) + len(new) - quota)]
        gone = set(out)
        kept = [line for line in known if line not in gone]
        entering = new[: max(0, quota - len(kept))]
        if crowded and new:
            # The others come next time.
            if entering:
                self._lines[route] = entering[-1][1:]
        elif len(found) == wanted:
            self._lines[route] = found[-1]
        else:
            self._lines.pop(route, None)
        return Turn([*kept, *entering], out, crowded or route in self._lines)

    def _spare(self, route: str, head: tuple[LineId, str] | None) -> LineId | None:
        """Tells the line that stays: until it went, but no longer, for others would never come."""
        before = self._heads.pop(route, None)
        if head is None or (before is not None and before[0] == head[0] and before[1] != head[1]):
            return None
        self._heads[route] = head
        return head[0]
