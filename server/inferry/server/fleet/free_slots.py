"""The free slots of all servers, as they dwindle while tasks are given to them."""

from heapq import heapify, heappop, heapreplace

from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.routing import Candidate, Rank, Rule, hindrance, rank


class FreeSlots:
    """Those of one round."""

    def __init__(self, fleet: Fleet, now_ms: int) -> None:
        self._fleet = fleet
        self._servers = {one.record.id: one for one in fleet.candidates(now_ms)}
        #: Servers by route, best first. One that got worse is found out when it comes up.
        self._ranked: dict[str, list[tuple[Rank, str]]] = {}

    def suit(self, route: str) -> bool:
        """Whether there are slots for tasks of a route."""
        return any(one.record.id in self._servers for one in self._fleet.capable(route))

    def take(self, route: str) -> str | None:
        """Takes a slot of the server that should have a task of a route; None if none may."""
        ranked = self._ranked.get(route)
        if ranked is None:
            ranked = self._ranked[route] = self._rank(route)
        while ranked:
            seen, server_id = ranked[0]
            server = self._servers.get(server_id)
            if server is None:
                heappop(ranked)
            elif (now := rank(server)) != seen:
                heapreplace(ranked, (now, server_id))
            else:
                self._fill(server)
                return server_id
        return None

    def _rank(self, route: str) -> list[tuple[Rank, str]]:
        capable = (self._servers.get(member.record.id) for member in self._fleet.capable(route))
        ranked = [(rank(server), server.record.id) for server in capable if server is not None]
        heapify(ranked)
        return ranked

    def _fill(self, server: Candidate) -> None:
        credit = None if server.credit is None else server.credit - 1
        fuller = server._replace(active=server.active + 1, credit=credit)
        if hindrance(fuller) is Rule.ELIGIBLE:
            self._servers[server.record.id] = fuller
        else:
            del self._servers[server.record.id]
