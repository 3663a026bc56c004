"""Gives each attempt to the carrier of its server's transport."""

from collections.abc import Callable, Mapping

from inferry.server.engine.carrier import Carrier
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import Transport
from inferry.server.task.record import Attempt, TaskRecord


class CarrierSwitch:
    """A carrier for servers of all transports.

    Args:
        fleet: Knows how each server is reached.
        carriers: One for each transport.
    """

    def __init__(self, fleet: Fleet, carriers: Mapping[Transport, Carrier]) -> None:
        self._fleet = fleet
        self._carriers = carriers

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Brings the open attempt of a task to its server."""
        self._of(record.server_id or "").carry(record, payload)

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Lets go of an attempt that has ended; its server may have left the list before."""
        for carrier in self._carriers.values():
            carrier.drop(record, closed)

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        """Has the server stop its work on an attempt that has ended."""
        self._of(closed.server_id).stop(task_id, closed, stopped)

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop."""
        for carrier in self._carriers.values():
            carrier.confirm(task_id, attempt)

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:
        """Whether word of an attempt may come in on what is open."""
        return self._of(server_id).hears(server_id, attempt)

    def adopt(self, record: TaskRecord) -> None:
        """Takes up an attempt that a server has."""
        self._of(record.server_id or "").adopt(record)

    def carries(self, task_id: str, attempt: int) -> bool:
        """Whether one of them has something of an attempt."""
        return any(carrier.carries(task_id, attempt) for carrier in self._carriers.values())

    def _of(self, server_id: str) -> Carrier:
        member = self._fleet.get(server_id)
        # One that has left the list is reached in no way, which any of them can tell.
        return self._carriers[Transport.HTTP if member is None else member.record.transport]
