"""Who may take a task, and who should. Pure.

A *route* is what a task asks of a server: its type and its capabilities. Tasks of one route are
alike to every server, so the queue is counted and claimed by route. (Design section 6.)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inferry.server.servers import ServerRecord, ServerStatus

_SEPARATOR = "\n"


def route_of(task_type: str, capabilities: Iterable[str]) -> str:
    """Names the route of a task; ``capabilities`` in any order."""
    return _SEPARATOR.join([task_type, *sorted(set(capabilities))])


class Candidate(NamedTuple):
    """A server as routing sees it at one moment."""

    record: ServerRecord
    status: ServerStatus
    #: Attempts that it holds.
    active: int
    #: Tasks that wait inside it, by its own word.
    queued: int = 0

    @property
    def free(self) -> int:
        """Slots that are not taken."""
        return max(0, self.record.max_concurrent - self.active)

    @property
    def preference(self) -> tuple[bool, float, str]:
        """Sorts the servers of a task, best first: degraded last, then least load."""
        load = (self.active + self.queued) / self.record.max_concurrent
        return self.status is ServerStatus.DEGRADED, load, self.record.id


def serves(record: ServerRecord, route: str) -> bool:
    """Whether a server is capable of a route: no capabilities means any type."""
    task_type, *needed = route.split(_SEPARATOR)
    capable = not record.capabilities or task_type in record.capabilities
    return capable and record.capabilities.issuperset(needed)


def may(candidate: Candidate, route: str) -> bool:
    """Whether a server may take a task of a route now."""
    return (
        candidate.free > 0
        and candidate.status in (ServerStatus.ACTIVE, ServerStatus.DEGRADED)
        and serves(candidate.record, route)
    )


def choose(candidates: Iterable[Candidate], route: str) -> Candidate | None:
    """Picks the server that should take a task of a route now; None if none may."""
    able = [candidate for candidate in candidates if may(candidate, route)]
    return min(able, key=lambda candidate: candidate.preference, default=None)


@dataclass(frozen=True, slots=True)
class Share:
    """What one server should claim: up to ``slots`` tasks of these routes."""

    server_id: str
    routes: tuple[str, ...]
    slots: int


def share(candidates: Sequence[Candidate], waiting: Mapping[str, int], limit: int) -> list[Share]:
    """Divides a backlog among the servers with free slots, least loaded first.

    Args:
        candidates: All servers.
        waiting: Tasks that wait, by route.
        limit: Slots of a route to give away at most.
    """
    shares: dict[str, Share] = {}
    now = {candidate.record.id: candidate for candidate in candidates}
    for route, count in waiting.items():
        for _ in range(min(count, limit)):
            best = choose(now.values(), route)
            if best is None:
                break
            server_id = best.record.id
            had = shares.get(server_id, Share(server_id, (), 0))
            routes = had.routes if route in had.routes else (*had.routes, route)
            shares[server_id] = Share(server_id, routes, had.slots + 1)
            now[server_id] = best._replace(active=best.active + 1)
    return list(shares.values())
