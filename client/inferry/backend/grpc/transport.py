"""The way of gRPC: one stream after the other, for as long as the worker works."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable

import grpc

from inferry.backend.attempt import AttemptKey, Report
from inferry.backend.engine import Engine
from inferry.backend.errors import RefusedError
from inferry.backend.grpc.channel import Dial, expiry_of
from inferry.backend.grpc.reports import Reports
from inferry.backend.grpc.session import Session
from inferry.backend.grpc.speaker import Send, Speaker
from inferry.backend.grpc.stream import End
from inferry.backend.lag import LagMeter
from inferry.backend.load import LoadMeter
from inferry.backend.token import current_token
from inferry.v1.worker_pb2 import WorkerWelcome

_log = logging.getLogger(__name__)

#: Ends before the welcome that are refusals.
_REFUSALS = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
#: How an end says that a newer stream has the name.
_REPLACED = "REPLACED"
#: Refusals, or losses of its name, in a row after which a worker stops.
_TRIES = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: A stream that lived for so long was a good one.
_GOOD_S = 60.0
#: How long before its end a token is renewed; half of what is left of a short one.
_RENEWED_S = 60.0


class GrpcTransport:
    """Brings tasks and carries reports over streams; see ``Transport``.

    Args:
        engine: Takes the tasks.
        lag: Of the handlers' loop.
        dial: The gateway.
        on_ready: Called once with the server's id: it is connected, and its setup is done.
    """

    def __init__(
        self,
        engine: Engine,
        lag: LagMeter,
        dial: Dial,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        self._engine = engine
        self._lag = lag
        self._dial = dial
        self._on_ready = on_ready
        #: The server's id, once the gateway has given it.
        self._id = ""
        self._load = LoadMeter()
        self._reports = Reports([r for r in engine.outbox.reports() if r.address == ""])
        self._channel: grpc.Channel
        self._session: Session | None = None
        self._pause_s = _FIRST_PAUSE_S
        #: Bad ends in a row, by their kind.
        self._bad: Counter[str] = Counter()
        spool = engine.outbox.spool
        self._resume_token = spool.resume_token if spool else ""
        self._token = ""
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Makes the channel."""
        self._channel = self._dial.channel()

    async def run(self) -> None:
        """Opens one stream after the other.

        Raises:
            RefusedError: The gateway refused five times in a row, or the name is another's.
        """
        while True:
            began = time.monotonic()
            session = self._session = self._make_session()
            end = await self._live(session)
            await asyncio.sleep(self._judge(session, end, time.monotonic() - began))

    async def _live(self, session: Session) -> End:
        try:
            self._token = await current_token(self._dial.token)
        except RefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do better
            return End(grpc.StatusCode.CANCELLED, f"no token could be had: {error}")
        try:
            session.open(self._channel, self._token, self._resume_token)
            return await session.live()
        finally:
            if self._renewing is not None:
                self._renewing.cancel()

    def report(self, report: Report) -> None:
        """Queues a report; the stream of then takes it."""
        self._reports.add(report)
        self.changed()

    def stopped(self, key: AttemptKey) -> None:
        """Says that cancelled work has stopped; on another stream nobody holds it any more."""
        if self._session is not None and self._session.speaker is not None:
            self._session.speaker.stopped(key)

    def changed(self) -> None:
        """Has what changed said."""
        if self._session is not None and self._session.speaker is not None:
            self._session.speaker.look()
        self._tell_ready()

    async def leave(self) -> None:
        """Says goodbye, now and on each stream to come."""
        if self._session is not None and self._session.speaker is not None:
            self._session.speaker.leave()

    async def close(self) -> None:
        """Ends the stream and the channel."""
        if self._session is not None:
            self._session.cut()
        self._channel.close()

    def _make_session(self) -> Session:
        return Session(self._engine, self._reports, self._make_speaker, self._begin)

    def _make_speaker(self, send: Send, welcome: WorkerWelcome) -> Speaker:
        return Speaker(send, self._engine, self._reports, self._lag, self._load, welcome)

    def _begin(self, welcome: WorkerWelcome) -> None:
        _log.info("connected as %s", welcome.server_id)
        if self._resume_token and not welcome.resumed:
            # They run elsewhere by now, or have been given up.
            for key in self._engine.working():
                self._engine.cancel(key)
        self._id = welcome.server_id
        self._tell_ready()
        self._resume_token = welcome.resume_token
        spool = self._engine.outbox.spool
        if spool is not None:
            spool.resume_token = welcome.resume_token
        if callable(self._dial.token):
            self._renewing = asyncio.create_task(self._renew(welcome))

    def _tell_ready(self) -> None:
        if self._on_ready is not None and self._id and self._engine.available:
            self._on_ready(self._id)
            self._on_ready = None

    async def _renew(self, welcome: WorkerWelcome) -> None:
        """Gives the gateway another token each time before the last one ends."""
        ends_at = expiry_of(self._token)
        if welcome.HasField("token_expires_at"):
            ends_at = welcome.token_expires_at.ToDatetime().timestamp()
        while ends_at is not None:
            left_s = ends_at - time.time()
            await asyncio.sleep(max(1.0, left_s - min(_RENEWED_S, left_s / 2)))
            try:
                token = await current_token(self._dial.token)
            except Exception as error:  # noqa: BLE001 - the next try may do better
                _log.warning("no token could be had: %s", error)
                continue
            if token and self._session is not None and self._session.speaker is not None:
                self._session.speaker.renew(token)
                ends_at = expiry_of(token)

    def _judge(self, session: Session, end: End, lived_s: float) -> float:
        """Says how long to wait for the next stream.

        Raises:
            RefusedError: There is to be none.
        """
        if session.reconnect_after_s is not None:
            self._bad.clear()
            return session.reconnect_after_s
        kind = self._kind(session, end)
        if lived_s > _GOOD_S:
            self._bad.clear()
            self._pause_s = _FIRST_PAUSE_S
        text = f"{end.code.name}: {end.details}"
        if kind:
            self._bad[kind] += 1
            # Said once: the last word is what it ends with.
            level = logging.ERROR if self._bad[kind] == 1 else logging.DEBUG
            _log.log(level, "the gateway refuses this worker, it tries again: %s", text)
            if self._bad[kind] >= _TRIES:
                raise RefusedError(_last_word(kind, self._engine.app.name, text))
        else:
            _log.warning("the stream has ended: %s", text)
            if session.speaker is not None:
                self._bad.clear()
                self._pause_s = _FIRST_PAUSE_S
        pause_s = random.uniform(0, self._pause_s)  # noqa: S311 - full jitter
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return pause_s

    def _kind(self, session: Session, end: End) -> str:
        """Tells what kind of bad end it is; empty for one that is just an end."""
        if end.code is grpc.StatusCode.ABORTED and _REPLACED in end.details:
            return _REPLACED
        if session.speaker is None and end.code in _REFUSALS:
            return end.code.name
        return ""


def _last_word(kind: str, name: str, text: str) -> str:
    if kind == _REPLACED:
        return f"another worker is called {name}: give each a name of its own"
    return f"the gateway refuses this worker: {text}"
