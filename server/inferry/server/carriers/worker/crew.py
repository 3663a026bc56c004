"""All workers of a gateway, and the streams that they have open."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from random import Random

import structlog

from inferry.server.access.resume import ResumeSigner
from inferry.server.carriers.worker.chunks import Budget
from inferry.server.carriers.worker.deeds import Deeds
from inferry.server.carriers.worker.holds import key
from inferry.server.carriers.worker.rules import REFS_LIMIT, WorkerRules
from inferry.server.carriers.worker.session import Session, new_welcome
from inferry.server.carriers.worker.worker import Worker
from inferry.server.clock import Clock
from inferry.server.errors import (
    InferryError,
    ReplacedError,
    ServerNotFoundError,
    UnavailableError,
)
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lines import Lines
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Transport
from inferry.server.loop import wait_for
from inferry.server.replica.tenure import Tenure
from inferry.server.task.record import Status, TaskRecord
from inferry.v1.worker_pb2 import GatewayMessage, WorkerHello

#: How long a stream may take to end that is to end.
_LAST_WORDS_MS = 2_000
#: How long streams may take to end when the gateway stops: on a busy machine, too, a worker is told
#: to come again, and not cut off.
_CLOSE_S = 5.0

_log = structlog.get_logger(__name__)


class Crew:
    """The workers.

    Args:
        fleet: The servers.
        deeds: Writes down what the workers' words do to tasks.
        resume: Makes and checks resume tokens.
        clock: The time.
        random: Jitter.
        tenure: Whether this replica may give work to workers.
        rules: The numbers.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        deeds: Deeds,
        resume: ResumeSigner,
        clock: Clock,
        random: Random,
        tenure: Tenure,
        rules: WorkerRules,
    ) -> None:
        self._fleet = fleet
        self._lines = Lines(fleet)
        self._deeds = deeds
        self._resume = resume
        self._clock = clock
        self._random = random
        self._tenure = tenure
        #: Whether it could when time was last let pass.
        self._gave = tenure.holds
        self._rules = rules
        self._budget = Budget(rules.chunks_bytes)
        self._workers: dict[str, Worker] = {}
        #: Streams that are open, and what has each go that does not end by itself.
        self._streams: dict[Session, Callable[[], object]] = {}
        #: When the streams are given up that are to end.
        self._ending: dict[Session, int] = {}
        #: When time was last let pass; 0 before, and while nobody is there.
        self._ticked_ms = 0
        self._emptied = asyncio.Event()
        #: Set while there is a worker or a stream: without, no time has to pass.
        self.present = asyncio.Event()
        self._closing = False

    def find(self, server_id: str) -> Worker | None:
        """Finds a worker; None if it never had a stream or an attempt here."""
        return self._workers.get(server_id)

    def get(self, server_id: str) -> Worker:
        """Finds a worker, or makes one that has nothing."""
        worker = self._workers.get(server_id)
        if worker is None:
            worker = Worker(server_id, self._rules, self._lines, self._deeds)
            self._workers[server_id] = worker
            self.present.set()
        return worker

    def adopt(self, records: Iterable[TaskRecord]) -> None:
        """Takes up what workers have after a start: it is kept for them for a lease from now on.

        Args:
            records: All tasks with an open attempt.
        """
        now = self._clock.now_ms()
        for member in self._fleet.own_ones:
            if member.record.transport is Transport.GRPC:
                worker = self.get(member.record.id)
                for record in records:
                    if record.server_id == worker.server_id:
                        taken = record.status is Status.PROCESSING
                        worker.attempts.adopt((record.spec.id, record.attempt), taken=taken)
                worker.expect(now)

    def connect(
        self, member: Member, hello: WorkerHello, token_ends_ms: int, give_up: Callable[[], object]
    ) -> Session:
        """Begins with a stream that a worker opened, in place of one that it has.

        Args:
            member: The worker, as it has just registered.
            hello: What it said first.
            token_ends_ms: When its token ends.
            give_up: Ends the stream, should it not do so by itself.

        Raises:
            UnavailableError: The gateway stops.
        """
        if self._closing:
            raise UnavailableError("the gateway stops: connect again", retry_after_s=1)
        now, server_id = self._clock.now_ms(), member.record.id
        worker = self.get(server_id)
        older = worker.session
        if older is not None:
            self._end(older, None if older.ends_ms else ReplacedError(member.record.name))
            worker.cut(older, now)
        resumed = self._resume.holds(server_id, hello.resume_token)
        session = Session(server_id, self._rules, self._budget, self._random, now, token_ends_ms)
        session.ready = hello.ready
        self._streams[session] = give_up
        token = self._resume.token(server_id)
        session.outbox.welcome(new_welcome(session, token, self._rules, resumed=resumed))
        held = [key(named) for named in hello.held[:REFS_LIMIT]]
        worker.attach(session, held, now, resumed=resumed)
        _log.info("stream opened", server_id=server_id, sdk=hello.sdk[:100], resumed=resumed)
        return session

    def disconnect(self, session: Session, *, closed: bool) -> None:
        """A stream has ended; ``closed`` says that its worker closed it: nothing was cut off."""
        self._streams.pop(session, None)
        self._ending.pop(session, None)
        session.end(None)
        worker = self._workers.get(session.server_id)
        if worker is not None:
            worker.cut(session, self._clock.now_ms(), closed=closed)
        why = "" if session.error is None else session.error.message
        _log.info("stream ended", server_id=session.server_id, error=why, skipped=session.skipped)
        if not self._streams:
            self._emptied.set()

    async def messages(self, session: Session) -> AsyncGenerator[GatewayMessage, None]:
        """Gives what is to be sent on a stream, until it is to end.

        Raises:
            InferryError: What it ends with.
        """
        worker = self.get(session.server_id)
        while session.error is None:
            session.outbox.closed = not self._tenure.holds
            parcel = worker.take(session, self._clock.now_ms())
            if parcel is not None:
                yield parcel.message
            elif session.over:
                return
            else:
                await session.outbox.changed.wait()
                session.outbox.changed.clear()
        raise session.error

    def renew(self, session: Session, token_ends_ms: int) -> None:
        """A worker sent a new token."""
        session.token_ends_ms = token_ends_ms
        self.get(session.server_id).wake()

    def tick(self) -> None:
        """Lets time pass for all workers."""
        turned = self._fleet.turned.is_set()
        self._fleet.turned.clear()
        now = self._clock.now_ms()
        self._pass_over(now)
        gave, self._gave = self._gave, self._tenure.holds
        if self._gave and not gave:
            for session in self._streams:
                session.outbox.changed.set()
        for server_id, worker in list(self._workers.items()):
            member = self._fleet.get(server_id)
            if member is None:
                self._retire(worker, ServerNotFoundError(server_id))
            elif not member.owned:
                self._retire(worker, ReplacedError(member.record.name))
            elif turned or worker.due_ms <= now:
                worker.tick(now, draining=member.record.draining or member.leaves_ms > 0)
        for session, give_up in list(self._streams.items()):
            if session.over and self._ending.setdefault(session, now + _LAST_WORDS_MS) <= now:
                give_up()
        if not self._workers and not self._streams:
            self.present.clear()
            self._ticked_ms = 0

    async def close(self) -> None:
        """Has all workers go and open another stream: what they have stays open meanwhile."""
        self._closing = True
        now = self._clock.now_ms()
        for session in self._streams:
            session.outbox.drain(draining=True)
            session.reconnect(now, "the gateway stops")
            session.end(None)
        if self._streams:
            self._emptied.clear()
            await wait_for(self._emptied, _CLOSE_S)
        for give_up in list(self._streams.values()):
            give_up()

    def _pass_over(self, now_ms: int) -> None:
        """Takes out of account that the gateway stood still, or its clock was put forward.

        What workers said meanwhile has not been read yet: nobody was silent, and nothing is late.
        """
        gap_ms = now_ms - self._ticked_ms
        if self._ticked_ms and gap_ms > self._rules.beat_ms:
            for worker in self._workers.values():
                worker.pass_over(gap_ms)
        self._ticked_ms = now_ms

    def _retire(self, worker: Worker, why: InferryError) -> None:
        """Lets go of a worker that was taken out of the list, or is another replica's."""
        session = worker.session
        if session is not None:
            self._end(session, why)
            worker.cut(session, self._clock.now_ms())
        worker.attempts.clear()
        del self._workers[worker.server_id]

    def _end(self, session: Session, error: InferryError | None) -> None:
        session.end(error)
        self._ending[session] = self._clock.now_ms() + _LAST_WORDS_MS
