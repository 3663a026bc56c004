"""What follows from each commit for the figures: nothing that anybody waits for.

The ledger calls these in the order of the commits, once for each of its own; what other replicas
commit they count themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from inferry.server.errors import InferryError, StaleAttemptError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.record import Transport
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    EventKind,
    Status,
    TaskRecord,
)
from inferry.server.task.steps import Transition
from inferry.server.telemetry.meters import Meters
from inferry.wire.figures import OTHER

#: As labels have them.
_STATUSES: Mapping[Status, str] = {status: status.name.lower() for status in Status if status.final}
_OUTCOMES: Mapping[AttemptOutcome, str] = {
    outcome: outcome.name.lower()
    for outcome in AttemptOutcome
    if outcome is not AttemptOutcome.RUNNING
}
_TRANSPORTS = {transport: transport.name.lower() for transport in Transport}


class Tally(Protocol):
    """Hears what was committed."""

    def created(self, record: TaskRecord) -> None:
        """A task was added; with its first attempt, if that is open."""

    def started(self, record: TaskRecord) -> None:
        """A server was given a task."""

    def changed(self, transition: Transition) -> None:
        """A task changed in another way."""

    def refused(self, error: InferryError) -> None:
        """A report was refused."""


class NoTally:
    """Counts nothing."""

    def created(self, record: TaskRecord) -> None:
        """Passes over it."""

    def started(self, record: TaskRecord) -> None:
        """Passes over it."""

    def changed(self, transition: Transition) -> None:
        """Passes over it."""

    def refused(self, error: InferryError) -> None:
        """Passes over it."""


class Tallies:
    """Tells several.

    Args:
        tallies: Them, in the order in which they are told.
    """

    def __init__(self, tallies: Sequence[Tally]) -> None:
        self._tallies = tallies

    def created(self, record: TaskRecord) -> None:
        """Tells them."""
        for one in self._tallies:
            one.created(record)

    def started(self, record: TaskRecord) -> None:
        """Tells them."""
        for one in self._tallies:
            one.started(record)

    def changed(self, transition: Transition) -> None:
        """Tells them."""
        for one in self._tallies:
            one.changed(transition)

    def refused(self, error: InferryError) -> None:
        """Tells them."""
        for one in self._tallies:
            one.refused(error)


class MeterTally:
    """Counts all of it.

    Args:
        meters: Where it is counted.
        fleet: Tells how tasks reach a server.
    """

    def __init__(self, meters: Meters, fleet: Fleet) -> None:
        self._meters = meters
        self._fleet = fleet
        self._type = meters.types.label
        self._tenant = meters.tenants.label
        self._by_tenant = any(meters.tenants)

    def created(self, record: TaskRecord) -> None:
        """Counts a task."""
        spec, meters = record.spec, self._meters
        meters.tasks_created.add((self._type(spec.type),))
        if self._by_tenant:
            meters.tenant_tasks_created.add((self._tenant(spec.tenant),))

    def started(self, record: TaskRecord) -> None:
        """Notes how long it had waited for its turn."""
        waited_ms = record.started_ms - record.queued_ms
        self._meters.task_wait.note((self._type(record.spec.type),), waited_ms / 1_000)

    def changed(self, transition: Transition) -> None:
        """Counts what ended, and what a server took."""
        record, event, closed = transition.record, transition.event, transition.closed
        kind = event.kind
        if closed is not None:
            self._closed(record, closed)
        if kind is EventKind.FINISHED:
            self._finished(record)
        elif kind is EventKind.ACCEPTED:
            taken_ms = event.at_ms - record.started_ms
            transport = self._transport(record.server_id or "")
            self._meters.dispatch.note((transport,), taken_ms / 1_000)
        elif kind is EventKind.RETRIED:
            self._meters.tasks_retried.add((self._type(record.spec.type),))

    def refused(self, error: InferryError) -> None:
        """Counts it if it came too late."""
        if isinstance(error, StaleAttemptError):
            self._meters.stale_reports.add(())

    def know(self) -> None:
        """Makes known what has not happened yet: what scales by a series has it from the start."""
        meters = self._meters
        for name in (*meters.types, OTHER):
            meters.tasks_created.add((name,), 0)
            meters.tasks_retried.add((name,), 0)
            meters.task_wait.know((name,))
            meters.task_run.know((name,))
            for status in _STATUSES.values():
                meters.tasks_finished.add((name, status), 0)
        for name in (*meters.tenants, OTHER) if self._by_tenant else ():
            meters.tenant_tasks_created.add((name,), 0)
            for status in _STATUSES.values():
                meters.tenant_tasks_finished.add((name, status), 0)
        for transport in _TRANSPORTS.values():
            meters.dispatch.know((transport,))
            meters.leases_lost.add((transport,), 0)
            for outcome in _OUTCOMES.values():
                meters.attempts.add((transport, outcome), 0)
        meters.stale_reports.add((), 0)

    def _closed(self, record: TaskRecord, closed: Attempt) -> None:
        transport, outcome = self._transport(closed.server_id), closed.outcome
        self._meters.attempts.add((transport, _OUTCOMES[outcome]))
        if outcome is AttemptOutcome.LOST:
            self._meters.leases_lost.add((transport,))
        if outcome is not AttemptOutcome.REFUSED:
            # What was refused did not run.
            ran_ms = closed.ended_ms - closed.started_ms
            self._meters.task_run.note((self._type(record.spec.type),), ran_ms / 1_000)

    def _finished(self, record: TaskRecord) -> None:
        spec, meters, status = record.spec, self._meters, _STATUSES[record.status]
        meters.tasks_finished.add((self._type(spec.type), status))
        if self._by_tenant:
            meters.tenant_tasks_finished.add((self._tenant(spec.tenant), status))

    def _transport(self, server_id: str) -> str:
        member = self._fleet.get(server_id)
        return OTHER if member is None else _TRANSPORTS[member.record.transport]
