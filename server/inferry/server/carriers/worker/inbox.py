"""What workers say on their streams, part by part."""

from collections.abc import Iterator, Sequence

from inferry.server.carriers.worker.crew import Crew
from inferry.server.carriers.worker.deeds import Clerk
from inferry.server.carriers.worker.holds import key
from inferry.server.carriers.worker.reconcile import compare
from inferry.server.carriers.worker.rules import REFS_LIMIT
from inferry.server.carriers.worker.session import Session
from inferry.server.carriers.worker.worker import Worker
from inferry.server.clock import Clock
from inferry.server.errors import InferryError
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.lines import Lines
from inferry.server.fleet.record import load_of
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import AttemptRef, WorkerHeartbeat, WorkerMessage, WorkerReport

_FINAL = frozenset({Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED})


class Inbox:
    """Takes what comes on the streams of workers.

    Args:
        crew: The workers.
        lines: What routing knows of their streams.
        clerk: Takes their reports.
        clock: The time.
    """

    def __init__(self, crew: Crew, lines: Lines, clerk: Clerk, clock: Clock) -> None:
        self._crew = crew
        self._lines = lines
        self._clerk = clerk
        self._clock = clock

    async def receive(self, session: Session, message: WorkerMessage) -> None:
        """Takes what a worker said on its stream; returns when more may come."""
        worker = self._crew.find(session.server_id)
        if worker is None or worker.session is not session or session.over:
            return
        now = self._clock.now_ms()
        session.hear(now)
        self._lines.seen(session.server_id, now)
        for chunk in message.result_chunks:
            attempt = key(chunk.attempt)
            if worker.holds.get(attempt) is not None:
                session.chunks.add(attempt, chunk.offset, chunk.data)
        reported = {key(report.attempt) for report in message.reports}
        for attempt in _keys(session, message.acknowledged):
            worker.acknowledged(attempt, reported=attempt in reported)
        for report in message.reports:
            await session.room()
            if worker.session is not session:
                return
            self._report(worker, session, report)
        for attempt in _keys(session, message.stopped):
            worker.stopped(attempt)
        self._state(worker, message)

    def _state(self, worker: Worker, message: WorkerMessage) -> None:
        """Takes what a worker said of itself."""
        if message.HasField("granted_total"):
            self._lines.grant(worker.server_id, message.granted_total)
        if message.HasField("heartbeat"):
            self._heard(worker, message.heartbeat)
        if message.HasField("goodbye"):
            worker.goodbye()

    def _heard(self, worker: Worker, heartbeat: WorkerHeartbeat) -> None:
        if heartbeat.HasField("load"):
            said = heartbeat.load
            load = load_of(said.cpu, said.memory, said.active_tasks, said.queue_length)
            self._lines.load(worker.server_id, load)
        session = worker.session
        if session is not None:
            session.ready, session.lag_ms = heartbeat.ready, heartbeat.handler_lag_ms
            worker.turn(session)
            compare(worker, heartbeat)

    def _report(self, worker: Worker, session: Session, report: WorkerReport) -> None:
        attempt, update = key(report.attempt), report.update
        hold = worker.holds.get(attempt)
        final = update.status in _FINAL
        # Who reports on it has it, whether or not it said so.
        worker.acknowledged(attempt, reported=True)
        flaw: InferryError | None = None
        if report.chunked_bytes:
            try:
                update.result_json = session.chunks.take(attempt, report.chunked_bytes)
            except InferryError as error:
                flaw = error
        session.begin_report()
        if hold is not None and final:
            hold.reporting += 1

        async def written() -> None:
            number = report.number
            if flaw is None:
                ack = await self._clerk.report(session.server_id, attempt, number, update)
            else:
                ack = await self._clerk.misreport(session.server_id, attempt, number, flaw)
            if hold is not None and final:
                hold.reporting -= 1
            if final and not ack.again:
                worker.stopped(attempt)
            session.outbox.acknowledge(ack)

        self._clerk.spawn(written())


def _keys(session: Session, named: Sequence[AttemptRef]) -> Iterator[AttemptKey]:
    session.skipped += max(0, len(named) - REFS_LIMIT)
    return (key(one) for one in named[:REFS_LIMIT])
