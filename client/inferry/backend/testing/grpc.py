"""A gateway of tests over gRPC: it takes a worker's streams, sends attempts and takes reports."""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar

import grpc
import orjson

from inferry.backend.attempt import Assignment
from inferry.backend.testing.gateway import Sent
from inferry.backend.testing.intake import Intake
from inferry.backend.testing.streams import Connection, Cut, Streams
from inferry.v1.worker_pb2 import (
    AttemptCancel,
    AttemptRef,
    GatewayMessage,
    WorkerHello,
    WorkerMessage,
    WorkerWelcome,
)
from inferry.v1.worker_service_pb2_grpc import (
    add_WorkerServiceServicer_to_server,
)
from inferry.wire.hosts import take_port

Result = TypeVar("Result")
Found = TypeVar("Found")

_THREADS = 16
_WITHIN_S = 30.0


class GrpcGateway(Intake):
    """A gateway in this process; use it with ``async with``.

    It runs on threads of its own, and all that a test sees of it on the test's loop.

    Args:
        welcome: What it says to workers, but for the resume token.
        listen: ``HOST:PORT``; port 0 takes a free one.
    """

    def __init__(
        self, welcome: WorkerWelcome | None = None, *, listen: str = "127.0.0.1:0"
    ) -> None:
        super().__init__()
        #: ``HOST:PORT``, once it runs.
        self.address = ""
        #: How the next streams end before their welcome.
        self.refusals: deque[Cut] = deque()
        #: Whether a resume token holds.
        self.resumes = True
        #: Each stream that had its welcome.
        self.connections: asyncio.Queue[Connection] = asyncio.Queue()
        #: The newest one.
        self.connection: Connection | None = None
        #: Tokens that came within streams.
        self.tokens: asyncio.Queue[str] = asyncio.Queue()
        #: How many streams there were, refused ones counted in.
        self.streams = 0
        #: What it says to the next workers, but for the resume token.
        self.welcome = welcome or WorkerWelcome(server_id="srv_test", protocol_version=1)
        #: The resume token of the newest stream.
        self.resume_token = ""
        self._listen = listen
        self._resume_tokens = (f"resume-{number}" for number in itertools.count(1))
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._server: grpc.Server

    async def __aenter__(self) -> Self:
        """Starts to listen.

        Raises:
            OSError: It cannot be listened there.
        """
        self._loop = asyncio.get_running_loop()
        options = (
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        )
        host, _, port = self._listen.rpartition(":")
        # gRPC does not say why it cannot listen; whoever tries before it is told.
        take_port(host.strip("[]"), int(port)).close()
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
        begin, hear = partial(self._call, self._begin), partial(self._call, self._hear)
        add_WorkerServiceServicer_to_server(Streams(begin, hear, self._note_end), self._server)
        self.address = f"{host}:{self._server.add_insecure_port(self._listen)}"
        self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops."""
        if self.connection is not None:
            self.connection.outgoing.put(Cut(grpc.StatusCode.UNAVAILABLE, "the test is over"))
        await asyncio.to_thread(self._server.stop(0.5).wait)

    async def begin(self, sent: Sent) -> None:
        """Sends an attempt when the worker has credit."""
        connection = await self.until(self._with_credit)
        connection.assigned += 1
        await self.send_again(sent)

    async def send_uninvited(self, task_type: str, payload: Any) -> Sent:
        """Sends an attempt for which the worker has given no credit."""
        sent = self.expect(task_type, orjson.dumps(payload), _WITHIN_S)
        await self.send_again(sent)
        return sent

    def hear_what_was_said(self) -> None:
        """Takes and acknowledges the reports of the newest stream that it was deaf to."""
        assert self.connection is not None  # noqa: S101 - a test's mistake
        self.deaf = False
        said = [report for message in self.connection.messages for report in message.reports]
        self.say(GatewayMessage(report_acks=[self.answer(report) for report in said]))

    async def send_again(self, sent: Sent) -> None:
        """Sends an attempt, credit or not; see ``Gateway.send_again``."""
        taken = self.assign(sent)
        async with asyncio.timeout(_WITHIN_S):
            await taken.wait()

    def expect(self, task_type: str, payload: bytes, timeout_s: float) -> Sent:
        """Makes an attempt of a JSON text, to be assigned."""
        task_id = f"task_{next(self._numbers)}"
        sent = Sent(Assignment(task_id, 1, task_type, payload, timeout_s))
        self.sent[sent.key] = sent
        return sent

    def assign(self, sent: Sent) -> asyncio.Event:
        """Sends an attempt, credit or not; gives what is set when it was acknowledged."""
        assignment = sent.assignment
        taken = self.taken[assignment.key] = asyncio.Event()
        message = GatewayMessage()
        message.assignments.add(
            task_id=assignment.task_id,
            attempt=assignment.attempt,
            type=assignment.type,
            payload_json=assignment.payload,
            timeout_ms=round(1_000 * assignment.timeout_s),
            traceparent=assignment.traceparent,
        )
        self.say(message)
        return taken

    async def cancel(self, sent: Sent) -> None:
        """Tells the worker to stop an attempt."""
        task_id, attempt = sent.key
        message = GatewayMessage()
        message.cancels.add(
            attempt=AttemptRef(task_id=task_id, attempt=attempt), reason=AttemptCancel.CANCELLED
        )
        self.say(message)

    def say(self, message: GatewayMessage | Cut) -> None:
        """Says something on the newest stream, or ends it."""
        assert self.connection is not None  # noqa: S101 - a test's mistake
        self.connection.outgoing.put(message)

    async def until(
        self, look: Callable[[], Found | None], within: float | None = _WITHIN_S
    ) -> Found:
        """Looks after each message until there is what is looked for.

        Raises:
            TimeoutError: It does not come, in so many seconds; None waits for ever.
        """
        async with asyncio.timeout(within):
            while (found := look()) is None:
                self._changed.clear()
                await self._changed.wait()
        return found

    def _with_credit(self) -> Connection | None:
        connection = self.connection
        if connection is None or connection.granted <= connection.assigned:
            return None
        return connection

    # What follows runs on the test's loop, called from gRPC's threads.

    def _begin(self, hello: WorkerHello, token: str) -> Connection | Cut:
        """Takes a stream in, or ends it."""
        self.streams += 1
        if self.refusals:
            return self.refusals.popleft()
        if self.connection is not None:
            self.connection.outgoing.put(Cut(grpc.StatusCode.ABORTED, "REPLACED: a newer stream"))
        connection = self.connection = Connection(hello, token)
        welcome = WorkerWelcome()
        welcome.CopyFrom(self.welcome)
        welcome.resume_token = self.resume_token = next(self._resume_tokens)
        welcome.resumed = self.resumes and bool(hello.resume_token)
        connection.outgoing.put(GatewayMessage(welcome=welcome))
        self.connections.put_nowait(connection)
        self._changed.set()
        return connection

    def _hear(self, connection: Connection, message: WorkerMessage) -> None:
        """Takes a worker's message in."""
        self._changed.set()
        connection.messages.append(message)
        connection.granted = max(connection.granted, message.granted_total)
        acks = self.take_in(message)
        if acks:
            connection.outgoing.put(GatewayMessage(report_acks=acks))
        if message.token:
            self.tokens.put_nowait(message.token)
        if message.HasField("goodbye"):
            connection.left.set()

    def _note_end(self, connection: Connection) -> None:
        """Notes the end of a stream, from another thread."""

        def note() -> None:
            connection.ended.set()
            self._changed.set()

        with contextlib.suppress(RuntimeError):  # the test is over
            self._loop.call_soon_threadsafe(note)

    def _call(self, function: Callable[..., Result], *given: Any) -> Result:
        """Calls something on the test's loop, from another thread."""

        async def called() -> Result:
            return function(*given)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(_WITHIN_S)
