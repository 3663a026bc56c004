"""One stream of a worker, from its hello to its end. All of it on the transport's loop."""

import asyncio
import logging
import random
from collections.abc import Callable

import grpc

from inferry.backend.attempt import Assignment, Report, Taking
from inferry.backend.engine import Engine
from inferry.backend.grpc import messages
from inferry.backend.grpc.reports import Reports
from inferry.backend.grpc.speaker import Send, Speaker
from inferry.backend.grpc.stream import End, Stream
from inferry.v1.worker_pb2 import AttemptCancel, GatewayMessage, ReportAck, WorkerWelcome
from inferry.wire.limits import RESULT_BYTES

_log = logging.getLogger(__name__)

#: How long the gateway may take to answer the hello.
_WELCOME_S = 10.0
#: Intervals without a word after which the stream is given up.
_SILENT = 3
#: Between two heartbeats, where the gateway does not say it.
_HEARTBEAT_S = 5.0
#: How long the last words may take.
_LAST_WORDS_S = 2.0
#: Why a report is refused for what it says, not for what it speaks of.
_UNFIT = frozenset({"INVALID_PAYLOAD", "PAYLOAD_TOO_LARGE", "RESOURCE_LIMIT", "VALUE_DOES_NOT_FIT"})
#: Before a report is sent again that was refused for now.
_AGAIN_S = 1.0


class Session:
    """Speaks with the gateway over one stream.

    Args:
        engine: Does the work.
        reports: What is to be reported, beyond the ends of streams.
        speaker: Makes what speaks once the gateway has said its limits.
        begun: Called with the welcome.
    """

    def __init__(
        self,
        engine: Engine,
        reports: Reports,
        speaker: Callable[[Send, WorkerWelcome], Speaker],
        begun: Callable[[WorkerWelcome], None],
    ) -> None:
        self._engine = engine
        self._reports = reports
        self._make_speaker = speaker
        self._begun = begun
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._interval_s = _HEARTBEAT_S
        self._stream: Stream | None = None
        self._end: End | None = None
        #: Set when the stream has ended, or is to.
        self._over = asyncio.Event()
        #: Set then, and when the gateway has said how often it is to hear of the worker.
        self._turn = asyncio.Event()
        self._ended = asyncio.Event()
        #: Speaks, from the welcome on.
        self.speaker: Speaker | None = None
        #: The gateway wants another stream, so many seconds from now; None if it does not.
        self.reconnect_after_s: float | None = None

    def open(self, channel: grpc.Channel, token: str | None, resume_token: str) -> None:
        """Opens the stream and says hello."""
        self._reports.rewind()
        engine = self._engine
        stream = self._stream = Stream(channel, token, self._receive)
        stream.send(
            messages.hello(engine.app, resume_token, engine.holds(), ready=engine.available)
        )

    async def live(self) -> End:
        """Lives as long as the stream does; whatever happens, it has ended afterwards."""
        try:
            while not self._over.is_set():
                if await _within(self._turn, self._jittered_s()):
                    self._turn.clear()
                else:
                    self._beat()
            if self._end is None:
                await self.finish(self._interval_s)
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            # The worker stops: what it has said last is still to arrive.
            await self.finish(_LAST_WORDS_S)
            raise
        finally:
            self.cut()
            if self.speaker is not None:
                self.speaker.rest()
        return self._end or End(grpc.StatusCode.DEADLINE_EXCEEDED, "the gateway says nothing")

    async def finish(self, within_s: float) -> None:
        """Says what is left to say, and waits for the end of the stream."""
        if self.speaker is not None:
            self.speaker.flush()
        if self._stream is not None:
            self._stream.finish()
        await _within(self._ended, within_s)

    def cut(self) -> None:
        """Ends the stream at once."""
        if self._stream is not None:
            self._stream.cut()

    def _jittered_s(self) -> float:
        return self._interval_s * random.uniform(0.9, 1.1)  # noqa: S311 - jitter

    def _beat(self) -> None:
        """Says that the worker is alive.

        Raises:
            TimeoutError: The gateway does not say so.
        """
        patience_s = _WELCOME_S if self.speaker is None else _SILENT * self._interval_s
        if self._loop.time() - self._heard_at > patience_s:
            raise TimeoutError
        if self.speaker is not None:
            self.speaker.heartbeat(listed=False)

    def _receive(self, message: GatewayMessage | End) -> None:
        if isinstance(message, End):
            self._end = message
            self._over.set()
            self._turn.set()
            self._ended.set()
            return
        self._heard_at = self._loop.time()
        if message.HasField("welcome") and self.speaker is None and self._stream is not None:
            self._begin(message.welcome, self._stream)
        if self.speaker is None:
            _log.warning("passed over: the gateway spoke before its welcome")
            return
        for assignment in message.assignments:
            self._take(messages.assignment(assignment), self.speaker)
        for cancel in message.cancels:
            self._cancel(cancel, self.speaker)
        for ack in message.report_acks:
            self._note_ack(ack)
        if message.heartbeat.list:
            self.speaker.heartbeat(listed=True)
            self.speaker.flush()
        if message.HasField("draining"):
            _log.info("the gateway %s", "drains" if message.draining else "sends work again")
        if message.HasField("reconnect"):
            self.reconnect_after_s = message.reconnect.after_ms / 1_000
            _log.info("another stream is wanted: %s", message.reconnect.reason)
            self._over.set()
            self._turn.set()
        self.speaker.look()

    def _begin(self, welcome: WorkerWelcome, stream: Stream) -> None:
        if welcome.heartbeat_interval_ms:
            self._interval_s = welcome.heartbeat_interval_ms / 1_000
        self._turn.set()
        self._engine.result_limit = welcome.result_limit_bytes or RESULT_BYTES
        self.speaker = self._make_speaker(stream.send, welcome)
        self._begun(welcome)
        if self._engine.leaving:
            self.speaker.leave()

    def _take(self, assignment: Assignment, speaker: Speaker) -> None:
        speaker.received += 1
        taking = self._engine.take(assignment)
        if taking is Taking.STALE:
            # It is taken back when nobody acknowledges it; a newer one is here.
            return
        speaker.acknowledge(assignment.key)
        if taking is Taking.REFUSED:
            self._engine.give_back(assignment.key)

    def _cancel(self, cancel: AttemptCancel, speaker: Speaker) -> None:
        key = messages.key_of(cancel.attempt)
        reason = AttemptCancel.Reason.Name(cancel.reason)
        _log.info("cancelled: %s/%s: %s %s", *key, reason, cancel.text)
        if self._engine.cancel(key) is None:
            speaker.stopped(key)

    def _note_ack(self, ack: ReportAck) -> None:
        report = self._reports.acknowledged(ack.number)
        if report is None:
            return
        if ack.notes:
            _log.warning("left out of a report: %s/%s: %s", *report.key, "; ".join(ack.notes))
        if ack.again:
            self._loop.call_later(_AGAIN_S, self._say_again, report)
        elif ack.code in _UNFIT and report.final:
            # Another end may be taken.
            self._engine.refused(report, f"{ack.code}: {ack.error}")
        else:
            if ack.code:
                _log.warning("report refused: %s/%s: %s: %s", *report.key, ack.code, ack.error)
            if report.final:
                self._engine.delivered(report.key)
        if ack.stop:
            self._engine.cancel(report.key)

    def _say_again(self, report: Report) -> None:
        self._reports.again(report)
        if self.speaker is not None:
            self.speaker.look()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Waits for an event; False if it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
