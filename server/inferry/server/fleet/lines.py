"""The lines of the workers: what their streams tell the fleet of them."""

import structlog

from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import APART, Connection, Line
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Load

_log = structlog.get_logger(__name__)


class Lines:
    """Keeps what routing knows of the workers' streams true; servers without one are left alone."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def begin(self, server_id: str, connection: Connection, now_ms: int) -> None:
        """A worker opened a stream: nothing is granted on it yet, and its lease is renewed."""
        found = self._find(server_id)
        if found is not None:
            member, line = found
            line.begin(connection)
            member.lease.renew(now_ms)
            self._changed(member)

    def turn(self, server_id: str, connection: Connection) -> None:
        """It stands otherwise with a worker's stream."""
        found = self._find(server_id)
        if found is not None and found[1].connection is not connection:
            member, line = found
            line.connection = connection
            self._changed(member)

    def cut(self, server_id: str, connection: Connection, now_ms: int) -> None:
        """A worker's stream ended: its lease counts from now on."""
        found = self._find(server_id)
        if found is not None:
            member, line = found
            line.begin(connection)
            member.lease.grant(now_ms)
            self._changed(member)

    def leave(self, server_id: str) -> None:
        """A worker said goodbye: it gets no more."""
        found = self._find(server_id)
        if found is not None:
            found[1].leaving = True
            self._changed(found[0])

    def grant(self, server_id: str, granted: int) -> None:
        """A worker takes so many assignments in all on its stream; fewer than before is no news."""
        found = self._find(server_id)
        if found is None or granted <= found[1].granted:
            return
        member, line = found
        line.granted = granted
        before = member.credit
        member.recount()
        if not before:
            self._fleet.claimable.set()

    def assign(self, server_id: str, attempt: AttemptKey) -> bool:
        """Gives an attempt to a worker's stream; False if it has no credit left for it."""
        found = self._find(server_id)
        if found is None:
            return False
        member, line = found
        line.due.discard(attempt)
        given = line.connection not in APART and line.assigned < line.granted
        line.assigned += given
        member.recount()
        return given

    def withdraw(self, server_id: str) -> None:
        """An attempt that was given to a worker's stream never left."""
        found = self._find(server_id)
        if found is not None and found[1].assigned:
            found[1].assigned -= 1
            self._changed(found[0])

    def clog(self, server_id: str, *, clogged: bool) -> None:
        """More waits to be sent to a worker than may, or no longer."""
        found = self._find(server_id)
        if found is not None and found[1].clogged is not clogged:
            found[1].clogged = clogged
            self._changed(found[0])

    def seen(self, server_id: str, now_ms: int) -> None:
        """A worker spoke on its stream."""
        found = self._find(server_id)
        if found is not None:
            found[0].lease.renew(now_ms)

    def load(self, server_id: str, load: Load) -> None:
        """A worker told its load."""
        found = self._find(server_id)
        if found is not None:
            found[0].load = load
            found[0].renew()

    def lag(self, server_id: str, lag_ms: int) -> None:
        """A worker told how far the loop of its handlers lags."""
        found = self._find(server_id)
        if found is not None:
            found[1].lag_ms = lag_ms

    def idled(self, server_id: str, by_ms: int) -> None:
        """A worker had nothing to do for so long, though work waited."""
        found = self._find(server_id)
        if found is not None:
            found[1].idle_ms += by_ms
            _log.warning("a worker idles while work waits", server_id=server_id, by_ms=by_ms)

    def _find(self, server_id: str) -> tuple[Member, Line] | None:
        member = self._fleet.get(server_id)
        return None if member is None or member.line is None else (member, member.line)

    def _changed(self, member: Member) -> None:
        member.renew()
        self._fleet.claimable.set()
