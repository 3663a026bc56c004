"""What a worker says on a stream, gathered: a message costs as much as a call."""

import asyncio
from collections.abc import Callable

from inferry.backend.attempt import AttemptKey
from inferry.backend.engine import Engine
from inferry.backend.grpc import messages
from inferry.backend.grpc.reports import Reports
from inferry.backend.grpc.stream import Outgoing
from inferry.backend.lag import LagMeter
from inferry.backend.load import LoadMeter
from inferry.v1.worker_pb2 import WorkerMessage, WorkerWelcome
from inferry.wire.held import held_hash

_GATHER_S = 0.002
#: What a welcome that does not say it means.
_UNACKNOWLEDGED = 256
_CHUNK_BYTES = 1024 * 1024


#: Sends what is said, after all that was sent before.
Send = Callable[[Outgoing], None]


class Speaker:
    """Gathers what is to be said for two milliseconds, and says it.

    Args:
        send: Sends a message.
        engine: Whose slots, readiness and attempts are told.
        reports: What is to be reported.
        lag: Of the handlers' loop.
        load: Of the machine.
        welcome: The gateway's limits.
    """

    def __init__(
        self,
        send: Send,
        engine: Engine,
        reports: Reports,
        lag: LagMeter,
        load: LoadMeter,
        welcome: WorkerWelcome,
    ) -> None:
        self._send = send
        self._engine = engine
        self._reports = reports
        self._lag = lag
        self._load = load
        self._unacknowledged = welcome.unacknowledged_reports_limit or _UNACKNOWLEDGED
        self._chunk_bytes = welcome.chunk_bytes or _CHUNK_BYTES
        self._message = WorkerMessage()
        self._flushing: asyncio.TimerHandle | None = None
        self._granted = 0
        self._ready: bool | None = None
        #: Assignments that came on this stream.
        self.received = 0

    def look(self) -> None:
        """Looks at slots, readiness and reports: what has changed is said soon."""
        if self._ready != self._engine.available:
            self.heartbeat(listed=False)
        self._gather()

    def acknowledge(self, key: AttemptKey) -> None:
        """Says that an assignment was taken."""
        self._message.acknowledged.append(messages.ref(key))
        self._gather()

    def stopped(self, key: AttemptKey) -> None:
        """Says that the work of an attempt has stopped."""
        self._message.stopped.append(messages.ref(key))
        self._gather()

    def renew(self, token: str) -> None:
        """Gives the gateway another token."""
        self._message.token = token
        self._gather()

    def leave(self) -> None:
        """Says goodbye."""
        self._message.goodbye.reason = "the worker stops"
        self._gather()

    def heartbeat(self, *, listed: bool) -> None:
        """Says that the worker is alive, and what it holds."""
        held = self._engine.holds()
        said = self._message.heartbeat
        said.Clear()
        said.held_count, said.held_hash = len(held), held_hash(held)
        said.received_total = self.received
        said.load.CopyFrom(self._load.measure(self._engine.active))
        self._ready = said.ready = self._engine.available
        said.handler_lag_ms = self._lag.milliseconds
        if listed:
            said.held.extend(map(messages.ref, held))
            said.listed = True
        self._gather()

    def flush(self) -> None:
        """Says at once what was gathered."""
        self.rest()
        message = self._message
        granted = self.received + self._engine.free
        if granted > self._granted:
            self._granted = message.granted_total = granted
        self._message = WorkerMessage()
        # Acknowledgements go before the reports on what they speak of, heartbeats after them: what
        # has ended is not held any more.
        last = WorkerMessage()
        if message.HasField("heartbeat"):
            last.heartbeat.CopyFrom(message.heartbeat)
            message.ClearField("heartbeat")
        reports = self._reports.take(self._unacknowledged)
        for batch in messages.batches(reports, self._chunk_bytes):
            if isinstance(batch, WorkerMessage):
                message.MergeFrom(batch)
                self._say(message)
            else:
                self._say(message)
                self._send(batch)
            message = WorkerMessage()
        message.MergeFrom(last)
        self._say(message)

    def _say(self, message: WorkerMessage) -> None:
        if message.ByteSize():
            self._send(message)

    def rest(self) -> None:
        """Forgets that something is to be said."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None

    def _gather(self) -> None:
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(_GATHER_S, self.flush)
