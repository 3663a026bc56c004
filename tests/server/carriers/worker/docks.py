"""A crew with a fleet and a book of tasks, in one place and without a socket."""

from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

from inferry.server.access.resume import ResumeSigner
from inferry.server.carriers.worker.carrier import WorkerCarrier
from inferry.server.carriers.worker.crew import Crew
from inferry.server.carriers.worker.deeds import Word
from inferry.server.carriers.worker.inbox import Inbox
from inferry.server.carriers.worker.rules import WorkerRules
from inferry.server.carriers.worker.session import Session
from inferry.server.engine.tracing import Tracing
from inferry.server.errors import InferryError
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.server.fleet.lines import Lines
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import ServerRecord, Transport
from inferry.server.replica.tenure import Tenure
from inferry.server.task.inputs import Cancel, Claim
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import Attempt, AttemptOutcome, TaskRecord
from inferry.server.task.reports import ReportRules
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import GatewayMessage, ReportAck, WorkerHello, WorkerMessage
from tests.server.fleets import START_MS, HandClock, new_fleet
from tests.server.rules import TASK_RULES
from tests.server.situations import SPEC

RULES = WorkerRules(
    report=ReportRules(128, 10_000),
    beat_ms=5_000,
    acknowledge_ms=5_000,
    lease_ms=15_000,
    cancel_grace_ms=10_000,
    reconnect_ms=3_600_000,
    stalled_ms=5_000,
    message_items=4,
    message_bytes=1_000,
    unsent_bytes=2_000,
    reports=256,
    chunk_bytes=1_000,
    chunks_bytes=20_000,
)
SERVER = "srv_w"
TOKEN_ENDS_MS = START_MS + 10**9
_FINAL = (Task.COMPLETED, Task.FAILED)


def run(deed: Coroutine[Any, Any, None]) -> None:
    """Runs what has nothing to wait for."""
    try:
        deed.send(None)
    except StopIteration:
        return
    deed.close()
    raise AssertionError("it waits")


def worker_record(name: str = "w", slots: int = 4) -> ServerRecord:
    """Makes a worker's registration; its id is ``srv_`` and the name."""
    return ServerRecord(
        id=f"srv_{name}",
        url="",
        name=name,
        capabilities=frozenset(),
        max_concurrent=slots,
        metadata=b"{}",
        draining=False,
        private_allowed=False,
        created_ms=1,
        updated_ms=1,
        transport=Transport.GRPC,
        tenant="acme",
    )


class Docks:
    """A gateway's side of workers' streams; the book stands for the engine and its ledger."""

    def __init__(self, rules: WorkerRules = RULES, slots: int = 4) -> None:
        self.clock = HandClock()
        self.fleet = new_fleet()
        #: How long this gateway may give work away, by a clock that is set.
        self.passed_s = 0.0
        self.tenure = Tenure(15, lambda: self.passed_s)
        self.tenure.renewed(self.passed_s)
        self.member: Member = self.fleet.put(worker_record(slots=slots))
        self.crew = Crew(
            fleet=self.fleet,
            deeds=self,
            resume=ResumeSigner(b"k" * 32),
            clock=self.clock,
            tenure=self.tenure,
            random=Random(0),
            rules=rules,
        )
        self.lines = Lines(self.fleet)
        self.inbox = Inbox(self.crew, self.lines, self, self.clock)
        self.carrier = WorkerCarrier(self.crew, self.clock, rules.cancel_grace_ms, Tracing())
        #: Tasks that wait, those with an open attempt, and how the others ended.
        self.waiting: list[str] = []
        self.open: dict[str, TaskRecord] = {}
        self.ended: dict[str, str] = {}
        #: What was done, in order.
        self.deeds: list[tuple[str, AttemptKey]] = []
        #: Streams that did not end by themselves.
        self.given_up: list[Session] = []
        self.refuse: InferryError | None = None
        self._attempts: dict[str, int] = {}

    # What the workers' words do to tasks.

    def accept(self, attempt: AttemptKey) -> None:
        self.deeds.append(("accept", attempt))

    def give_back(self, attempt: AttemptKey, reason: str) -> None:
        assert reason
        self.deeds.append(("give back", attempt))
        self._close(attempt, AttemptOutcome.REFUSED)

    def lose(self, attempt: AttemptKey, reason: str) -> None:
        assert reason
        self.deeds.append(("lose", attempt))
        self._close(attempt, AttemptOutcome.LOST)

    def spawn(self, deed: Coroutine[Any, Any, None]) -> None:
        run(deed)

    async def report(self, server_id: str, words: Sequence[Word]) -> list[ReportAck]:
        return [self._report(server_id, word) for word in words]

    def _report(self, server_id: str, word: Word) -> ReportAck:
        attempt, number, update = word.attempt, word.number, word.update
        if word.flaw is not None:
            self.deeds.append(("misreport", attempt))
            return ReportAck(number=number, code=word.flaw.code, error=word.flaw.message)
        record = self.open.get(attempt[0])
        if record is None or (record.server_id, record.attempt) != (server_id, attempt[1]):
            return ReportAck(number=number, code="STALE_ATTEMPT", stop=True)
        if update.status in _FINAL:
            self.deeds.append(("complete", attempt))
            self._close(attempt, AttemptOutcome.SUCCEEDED)
        return ReportAck(number=number, status=update.status)

    # What others do.

    def give(self, task_id: str, payload: bytes = b"{}", server_id: str = SERVER) -> AttemptKey:
        """Gives a task to a worker, whatever routing says."""
        number = self._attempts[task_id] = self._attempts.get(task_id, 0) + 1
        record, _ = create(SPEC._replace(id=task_id), 0)
        claimed = apply(record, Claim(server_id), START_MS, TASK_RULES).record
        claimed = claimed._replace(attempt=number)
        self.open[task_id] = claimed
        self.fleet.take_slot(server_id, task_id, number)
        self.carrier.carry(claimed, payload)
        return task_id, number

    def schedule(self) -> None:
        """Gives what waits to whom routing says."""
        while self.waiting and (chosen := self.fleet.choose("echo", self.clock.now_ms())):
            self.give(self.waiting.pop(0), server_id=chosen)

    def cancel(self, task_id: str) -> None:
        """Cancels a task that is open."""
        record = self.open.pop(task_id)
        done = apply(record, Cancel("no"), self.clock.now_ms(), TASK_RULES)
        self.ended[task_id] = "CANCELLED"
        assert done.closed is not None
        closed, number = done.closed, record.attempt

        def free() -> None:
            self.fleet.free_slot(closed.server_id, task_id, number)

        self.carrier.drop(done.record, closed)
        self.carrier.stop(task_id, closed, free)

    def connect(
        self, *, token: str = "", held: tuple[AttemptKey, ...] = (), granted: int = 4
    ) -> Session:
        """Has the worker open a stream."""
        hello = WorkerHello(name="w", ready=True, resume_token=token)
        for task_id, number in held:
            hello.held.add(task_id=task_id, attempt=number)
        gone: list[Session] = []
        session = self.crew.connect(
            self.member, hello, TOKEN_ENDS_MS, lambda: self.given_up.extend(gone)
        )
        gone.append(session)
        self.hear(session, WorkerMessage(granted_total=granted))
        return session

    def hear(self, session: Session, message: WorkerMessage) -> None:
        """Takes a message of a stream."""
        run(self.inbox.receive(session, message))

    def say(self, session: Session) -> GatewayMessage | None:
        """Gives the next message of a stream; None if there is none."""
        parcel = self.crew.get(session.server_id).take(session, self.clock.now_ms())
        return None if parcel is None else parcel.message

    def said(self, session: Session) -> GatewayMessage:
        """Gives all that is to be said on a stream as one message."""
        whole = GatewayMessage()
        while (message := self.say(session)) is not None:
            whole.MergeFrom(message)
        return whole

    def pass_time(self, ms: int) -> None:
        """Lets time pass."""
        self.clock.ms += ms
        self.crew.tick()

    def connection(self) -> Connection | None:
        """How it stands with the worker's stream."""
        return self.member.connection

    def _close(self, attempt: AttemptKey, outcome: AttemptOutcome) -> None:
        task_id, number = attempt
        record = self.open.get(task_id)
        if record is None or record.attempt != number:
            return
        del self.open[task_id]
        if outcome is AttemptOutcome.REFUSED:
            self.waiting.append(task_id)
        else:
            self.ended[task_id] = outcome.name
        closed = Attempt(number, record.server_id or "", outcome, "", 1, self.clock.now_ms())
        self.carrier.drop(record, closed)
        self.fleet.free_slot(closed.server_id, task_id, number)
