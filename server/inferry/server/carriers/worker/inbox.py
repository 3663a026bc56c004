"""What workers say on their streams, part by part."""

from collections.abc import Iterator, Sequence

from inferry.server.carriers.worker.crew import Crew
from inferry.server.carriers.worker.deeds import Clerk, Word
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
            # Whose attempt it is shows with the report: its end may be sent once more.
            session.chunks.add(key(chunk.attempt), chunk.offset, chunk.data)
        attempts = [key(report.attempt) for report in message.reports]
        reported = frozenset(attempts)
        for attempt in _keys(session, message.acknowledged):
            worker.attempts.acknowledged(attempt, reported=attempt in reported)
        words: list[Word] = []
        for attempt, report in zip(attempts, message.reports, strict=True):
            if session.full:
                self._write(worker, session, words)
                words = []
                await session.room()
                if worker.session is not session:
                    return
            words.append(self._word(worker, session, attempt, report))
        self._write(worker, session, words)
        for attempt in _keys(session, message.stopped):
            session.chunks.discard(attempt)
            worker.attempts.stopped(attempt)
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
            self._lines.lag(worker.server_id, session.lag_ms)
            worker.turn(session)
            compare(worker, heartbeat)

    def _word(
        self, worker: Worker, session: Session, attempt: AttemptKey, report: WorkerReport
    ) -> Word:
        """Takes a report, which is yet to be written."""
        update = report.update
        # Who reports on it has it, whether or not it said so.
        worker.attempts.acknowledged(attempt, reported=True)
        session.begin_report()
        hold = worker.attempts.holds.get(attempt) if update.status in _FINAL else None
        if hold is not None:
            hold.reporting += 1
        if report.chunked_bytes:
            try:
                update.result_json = session.chunks.take(attempt, report.chunked_bytes)
            except InferryError as flaw:
                return Word(attempt, report.number, update, hold, flaw)
        elif update.status in _FINAL:
            session.chunks.discard(attempt)
        return Word(attempt, report.number, update, hold)

    def _write(self, worker: Worker, session: Session, words: Sequence[Word]) -> None:
        """Has reports written, all in one go, and then acknowledged."""

        async def written() -> None:
            acks = await self._clerk.report(worker.server_id, words)
            for word, ack in zip(words, acks, strict=True):
                if word.hold is not None:
                    word.hold.reporting -= 1
                if word.update.status in _FINAL and not ack.again:
                    worker.attempts.stopped(word.attempt)
                session.outbox.acknowledge(ack)

        if words:
            self._clerk.spawn(written())


def _keys(session: Session, named: Sequence[AttemptRef]) -> Iterator[AttemptKey]:
    session.skipped += max(0, len(named) - REFS_LIMIT)
    return (key(one) for one in named[:REFS_LIMIT])
