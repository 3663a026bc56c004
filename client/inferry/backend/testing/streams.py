"""The streams of a gateway of tests, on gRPC's threads."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue

import grpc

from inferry.v1.worker_pb2 import GatewayMessage, WorkerHello, WorkerMessage
from inferry.v1.worker_service_pb2_grpc import WorkerServiceServicer


@dataclass(frozen=True, slots=True)
class Cut:
    """How a gateway ends a stream."""

    code: grpc.StatusCode
    details: str = ""


@dataclass(slots=True)
class Connection:
    """A stream of a worker."""

    hello: WorkerHello
    #: The worker's token.
    token: str
    outgoing: "SimpleQueue[GatewayMessage | Cut]" = field(default_factory=SimpleQueue)
    #: Assignments that the worker can take in all.
    granted: int = 0
    #: Those that it got.
    assigned: int = 0
    #: What came in, but for the hello.
    messages: list[WorkerMessage] = field(default_factory=list)
    #: Whether what the worker says is read; it may say more all the same.
    reading: threading.Event = field(default_factory=threading.Event)
    #: Set when the worker said goodbye.
    left: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when nothing more comes from the worker.
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begins to read."""
        self.reading.set()


class Streams(WorkerServiceServicer):
    """Takes streams.

    Args:
        begin: Takes a stream in by its hello and token, or says how it ends.
        hear: Takes a message of a stream in.
        end: Hears that no more of them come.
    """

    def __init__(
        self,
        begin: Callable[[WorkerHello, str], Connection | Cut],
        hear: Callable[[Connection, WorkerMessage], None],
        end: Callable[[Connection], None],
    ) -> None:
        self._begin = begin
        self._hear_one = hear
        self._end = end

    def Connect(  # noqa: N802 - the RPC's name
        self, request_iterator: Iterator[WorkerMessage], context: grpc.ServicerContext
    ) -> Iterator[GatewayMessage]:
        """Serves a stream."""
        metadata = dict(context.invocation_metadata())
        token = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        first = next(request_iterator, WorkerMessage())
        connection = self._begin(first.hello, token)
        if isinstance(connection, Cut):
            context.abort(connection.code, connection.details)
        threading.Thread(
            target=self._hear, args=(connection, request_iterator), daemon=True
        ).start()
        while True:
            said = connection.outgoing.get()
            if isinstance(said, Cut):
                if said.code is grpc.StatusCode.OK:
                    return
                context.abort(said.code, said.details)
            yield said

    def _hear(self, connection: Connection, requests: Iterator[WorkerMessage]) -> None:
        try:
            for message in requests:
                connection.reading.wait()
                self._hear_one(connection, message)
        except grpc.RpcError:
            pass
        finally:
            self._end(connection)
            connection.outgoing.put(Cut(grpc.StatusCode.OK))
