"""The list of the servers: who is on it, and who of them is capable of what."""

from collections.abc import Iterator, Sequence

import yarl

from inferry.server.fleet.member import Member
from inferry.server.fleet.notes import notes
from inferry.server.fleet.record import Identity, ServerRecord
from inferry.server.fleet.routing import REACHABLE, Rule, hindrance, serves

#: Routes whose servers are remembered.
ROUTES_KEPT = 1_000
#: Names of this machine that lead to the same program.
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

#: Where a server is called: scheme, host, port and path.
Place = tuple[str, str, int | None, str]


class Roster:
    """All servers, those included that are another replica's."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._ids: dict[Identity, str] = {}
        #: Servers that are called, by where.
        self._by_place: dict[Place, dict[str, Member]] = {}
        #: The servers that are capable of a route.
        self._capable: dict[str, list[Member]] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, server_id: str) -> Member | None:
        """Finds a server; None if it is not registered."""
        return self._members.get(server_id)

    def find(self, identity: Identity) -> Member | None:
        """Finds a server by what makes it; None if there is none."""
        return self._members.get(self._ids.get(identity, ""))

    def twins(self, record: ServerRecord) -> list[ServerRecord]:
        """Lists the other servers that are called where a server is."""
        there = self._by_place.get(_place(record.url), {}).values()
        return [one.record for one in there if one.record.id != record.id]

    def notes(self, member: Member) -> list[str]:
        """Says what looks like a mistake about a server."""
        return notes(member.record, member.claims, self.twins(member.record))

    @property
    def own_ones(self) -> Iterator[Member]:
        """Goes through the servers that this replica looks after."""
        return (member for member in self if member.owned)

    def capable(self, route: str) -> Sequence[Member]:
        """Lists the servers that are capable of a route, whatever else keeps them from it."""
        capable = self._capable.get(route)
        if capable is None:
            if len(self._capable) >= ROUTES_KEPT:
                self._capable.clear()
            capable = [member for member in self if serves(member.record, route)]
            self._capable[route] = capable
        return capable

    def reaches(self, route: str) -> bool:
        """Whether a server takes a route's tasks, or does as soon as it has room for another."""
        return any(hindrance(member) in REACHABLE for member in self.capable(route))

    def hindrances(self) -> list[tuple[ServerRecord, Rule]]:
        """Tells of each server what keeps it from any task now."""
        return [(member.record, hindrance(member)) for member in self]

    def _enter(self, member: Member) -> None:
        """Puts a server on the list, or takes up what its registration says by now."""
        self._members[member.record.id] = member
        self._ids[member.record.identity] = member.record.id
        if member.record.url:
            there = self._by_place.setdefault(_place(member.record.url), {})
            there[member.record.id] = member
        self._capable.clear()

    def _strike(self, server_id: str) -> Member | None:
        """Takes a server off the list; None if it is not on it."""
        member = self._members.pop(server_id, None)
        if member is not None:
            del self._ids[member.record.identity]
            place = _place(member.record.url)
            there = self._by_place.get(place, {})
            there.pop(server_id, None)
            if not there:
                self._by_place.pop(place, None)
            self._capable.clear()
        return member


def _place(text: str) -> Place:
    """Gives where a URL leads, however it is written; a worker's is nowhere."""
    url = yarl.URL(text)
    host = (url.host or "").lower()
    return url.scheme, "localhost" if host in _HERE else host, url.port, url.path.rstrip("/")
