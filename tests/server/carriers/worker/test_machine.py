"""Whatever becomes of the messages of a worker and its gateway, no attempt suffers from it."""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferry.server.carriers.worker.session import Session
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import AttemptRef, GatewayMessage, WorkerMessage
from inferry.wire.held import held_hash
from tests.server.carriers.worker.docks import SERVER, Docks

SLOTS = 3


@dataclass(eq=False)
class Wire:
    """A stream with what is on its way in each direction."""

    session: Session
    to_worker: deque[GatewayMessage] = field(default_factory=deque)
    to_gateway: deque[WorkerMessage] = field(default_factory=deque)
    #: What the worker counts on it.
    received: int = 0
    granted: int = 0
    #: Assignments that left on it, and what was granted by then at most.
    assigned: int = 0
    heard_grant: int = 0
    open: bool = True


def refs(attempts: "list[AttemptKey]") -> list[AttemptRef]:
    return [AttemptRef(task_id=task_id, attempt=number) for task_id, number in attempts]


class WorkerAndGateway(RuleBasedStateMachine):
    """A worker as docs/workers.md has it, and a network that loses, doubles, delays and cuts."""

    @initialize()
    def begin(self) -> None:
        self.docks = Docks(slots=SLOTS)
        self.token = ""
        self.wires: list[Wire] = []
        #: What the worker works on, and what it reported and nobody acknowledged.
        self.held: set[AttemptKey] = set()
        self.reports: dict[int, tuple[AttemptKey, Task.Status.ValueType]] = {}
        self.number = 0
        self.tasks = 0
        #: All assignments that ever left.
        self.left: set[AttemptKey] = set()

    @property
    def wire(self) -> Wire | None:
        return next((wire for wire in self.wires if wire.open), None)

    # The gateway.

    @rule()
    def create(self) -> None:
        self.tasks += 1
        self.docks.waiting.append(f"task_{self.tasks}")
        self.docks.schedule()

    @rule()
    def schedule(self) -> None:
        self.docks.schedule()

    @precondition(lambda self: self.docks.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.docks.cancel(data.draw(st.sampled_from(sorted(self.docks.open))))

    @rule(ms=st.sampled_from([10, 1_000, 5_000, 16_000]))
    def pass_time(self, ms: int) -> None:
        self.docks.pass_time(ms)
        self._close_those_over()

    @rule()
    def send(self) -> None:
        for wire in self.wires:
            if wire.open and not wire.session.over:
                self._send(wire)

    # The network.

    @rule()
    def all_goes_well(self) -> None:
        """For a while nothing is lost."""
        if self.wire is None:
            self.connect()
        self.docks.schedule()
        self._settle()

    @rule()
    def deliver(self) -> None:
        self._deliver_all(limit=1)

    @rule()
    def double(self) -> None:
        wire = self.wire
        if wire is not None and wire.to_gateway:
            self._gateway_hears(wire, wire.to_gateway[0])

    @rule()
    def lose_a_message(self) -> None:
        wire = self.wire
        if wire is not None and wire.to_gateway:
            wire.to_gateway.popleft()

    @rule()
    def lose_a_message_to_the_worker(self) -> None:
        wire = self.wire
        if wire is not None and wire.to_worker:
            wire.to_worker.popleft()

    @rule(late=st.booleans())
    def cut(self, *, late: bool) -> None:
        """The stream is cut; what was on its way to the worker may still come, the rest not."""
        wire = self.wire
        if wire is not None:
            self._end(wire, late=late)

    # The worker.

    @rule()
    def connect(self) -> None:
        """Opens a stream, perhaps beside one that the gateway takes for open."""
        for wire in self.wires:
            wire.to_gateway.clear()
        session = self.docks.connect(
            token=self.token, held=tuple(sorted(self.held)) if self.token else (), granted=0
        )
        self._close_those_over()
        wire = Wire(session)
        for older in self.wires:
            if older.open:
                self._end(older, late=True)
        self.wires.append(wire)
        self._grant(wire)
        for number in sorted(self.reports):
            self._report(wire, number)

    @rule()
    def beat(self) -> None:
        if self.wire is not None:
            self._beat(self.wire, listed=False)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        busy = sorted(self.held - {attempt for attempt, _ in self.reports.values()})
        if busy:
            self.number += 1
            self.reports[self.number] = data.draw(st.sampled_from(busy)), Task.COMPLETED
            if self.wire is not None:
                self._report(self.wire, self.number)

    @rule()
    def die(self) -> None:
        """The worker's process dies; the next one knows nothing."""
        if self.wire is not None:
            self._end(self.wire, late=False)
        self.held.clear()
        self.reports.clear()
        self.token = ""

    # What holds at any time.

    @invariant()
    def never_more_than_was_granted(self) -> None:
        if not hasattr(self, "docks"):
            return
        for wire in self.wires:
            assert wire.assigned <= wire.heard_grant
        credit = self.docks.member.credit
        assert credit is not None
        assert credit >= 0

    @invariant()
    def a_slot_for_each_attempt(self) -> None:
        if not hasattr(self, "docks"):
            return
        open_now = {(one, record.attempt) for one, record in self.docks.open.items()}
        assert open_now <= self.docks.member.holding
        worker = self.docks.crew.find(SERVER)
        holds = {attempt for attempt, _ in worker.attempts.holds} if worker is not None else set()
        # What has a slot and is not open is being stopped; what is open is with the worker.
        assert self.docks.member.holding - open_now <= holds
        assert open_now <= holds
        assert self.docks.member.active <= SLOTS

    @invariant()
    def nothing_is_kept_for_who_is_gone(self) -> None:
        if hasattr(self, "docks") and self.docks.connection() is Connection.GONE:
            assert not self.docks.open

    def teardown(self) -> None:
        """Once all goes well again, each task ends, and all slots and the whole credit return."""
        if not hasattr(self, "docks"):
            return
        docks = self.docks
        self.connect()
        # A round gives work to each slot that there is: as many as there are tasks are enough.
        for _ in range(12 + self.tasks):
            docks.schedule()
            self._settle()
            for attempt in sorted(self.held - {one for one, _ in self.reports.values()}):
                self.number += 1
                self.reports[self.number] = attempt, Task.COMPLETED
                wire = self.wire
                assert wire is not None
                self._report(wire, self.number)
            self._settle()
            wire = self.wire
            assert wire is not None
            self._beat(wire, listed=False)
            docks.pass_time(1_000)
            self._settle()
        assert not docks.open
        assert not docks.waiting
        assert len(docks.ended) == self.tasks
        assert not docks.member.holding
        assert docks.connection() is Connection.CONNECTED
        assert docks.member.credit == SLOTS
        # No zombie is left.
        assert not self.held

    def _settle(self) -> None:
        for _ in range(20):
            for wire in self.wires:
                if wire.open and not wire.session.over:
                    self._send(wire)
            self._deliver_all(limit=100)

    def _send(self, wire: Wire) -> None:
        message = self.docks.say(wire.session)
        if message is not None:
            wire.to_worker.append(message)
            wire.assigned += len(message.assignments)
            for one in message.assignments:
                # No attempt is ever given twice, on whatever stream.
                assert (one.task_id, one.attempt) not in self.left
                self.left.add((one.task_id, one.attempt))

    def _deliver_all(self, limit: int) -> None:
        for wire in list(self.wires):
            for _ in range(min(limit, len(wire.to_worker))):
                self._worker_hears(wire, wire.to_worker.popleft())
            if wire.open:
                for _ in range(min(limit, len(wire.to_gateway))):
                    self._gateway_hears(wire, wire.to_gateway.popleft())

    def _gateway_hears(self, wire: Wire, message: WorkerMessage) -> None:
        if message.HasField("granted_total"):
            wire.heard_grant = max(wire.heard_grant, message.granted_total)
        self.docks.hear(wire.session, message)

    def _end(self, wire: Wire, *, late: bool) -> None:
        wire.open = False
        wire.to_gateway.clear()
        if not late:
            wire.to_worker.clear()
        self.docks.crew.disconnect(wire.session, closed=False)

    def _close_those_over(self) -> None:
        for wire in self.wires:
            if wire.open and wire.session.over:
                self._end(wire, late=True)

    def _worker_hears(self, wire: Wire, message: GatewayMessage) -> None:
        if message.HasField("welcome"):
            self.token = message.welcome.resume_token
            if not message.welcome.resumed:
                # What it was told on an earlier stream is void.
                self.held.clear()
                self.reports.clear()
        if not wire.open:
            # The worker has let go of that stream.
            return
        got = [(one.task_id, one.attempt) for one in message.assignments]
        wire.received += len(got)
        self.held |= set(got)
        if got:
            wire.to_gateway.append(WorkerMessage(acknowledged=refs(got)))
        for ack in message.report_acks:
            attempt, _ = self.reports.pop(ack.number, (None, None))
            if attempt is not None:
                self.held.discard(attempt)
        stopped = []
        for cancel in message.cancels:
            attempt = cancel.attempt.task_id, cancel.attempt.attempt
            self.held.discard(attempt)
            self.reports = {
                number: report for number, report in self.reports.items() if report[0] != attempt
            }
            stopped.append(attempt)
        if stopped:
            wire.to_gateway.append(WorkerMessage(stopped=refs(stopped)))
        if message.HasField("heartbeat") and message.heartbeat.list:
            self._beat(wire, listed=True)
        self._grant(wire)

    def _grant(self, wire: Wire) -> None:
        wire.granted = max(wire.granted, wire.received + SLOTS - len(self.held))
        wire.to_gateway.append(WorkerMessage(granted_total=wire.granted))

    def _beat(self, wire: Wire, *, listed: bool) -> None:
        message = WorkerMessage()
        beat = message.heartbeat
        beat.held_count, beat.held_hash = len(self.held), held_hash(self.held)
        beat.received_total, beat.ready, beat.listed = wire.received, True, listed
        if listed:
            beat.held.extend(refs(sorted(self.held)))
        wire.to_gateway.append(message)

    def _report(self, wire: Wire, number: int) -> None:
        attempt, status = self.reports[number]
        message = WorkerMessage()
        report = message.reports.add(number=number)
        report.attempt.task_id, report.attempt.attempt = attempt
        report.update.status = status
        wire.to_gateway.append(message)


TestWorkerAndGateway = WorkerAndGateway.TestCase
TestWorkerAndGateway.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
