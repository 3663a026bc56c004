"""One stream to the gateway, on threads of gRPC's own: its loop would meet that of handlers.

(Two loops of ``grpc.aio`` in one process share a poller; handlers may well have one.)
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue

import grpc

from inferry.backend.mailbox import Mailbox
from inferry.v1.worker_pb2 import GatewayMessage, WorkerMessage
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub

#: What is to be sent: one message, or what makes them one by one when their turn comes.
Outgoing = WorkerMessage | Callable[[], Iterator[WorkerMessage]]


@dataclass(frozen=True, slots=True)
class End:
    """How a stream ended."""

    code: grpc.StatusCode
    details: str


class Stream:
    """Sends and receives.

    Args:
        channel: To the gateway.
        token: Opens the stream; None sends none.
        receive: Called on the loop that makes the stream, with each message and with its end.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        token: str | None,
        receive: Callable[[GatewayMessage | End], None],
    ) -> None:
        self._outgoing: SimpleQueue[Outgoing | None] = SimpleQueue()
        self._mailbox = Mailbox(asyncio.get_running_loop(), receive)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._call = WorkerServiceStub(channel).Connect(self._messages(), metadata=metadata)
        threading.Thread(target=self._listen, name="inferry-stream", daemon=True).start()

    def send(self, message: Outgoing) -> None:
        """Sends, after all that was sent before."""
        self._outgoing.put(message)

    def finish(self) -> None:
        """Says that nothing more will be sent."""
        self._outgoing.put(None)

    def cut(self) -> None:
        """Ends the stream at once."""
        self._outgoing.put(None)
        self._call.cancel()

    def _messages(self) -> Iterator[WorkerMessage]:
        while (item := self._outgoing.get()) is not None:
            if isinstance(item, WorkerMessage):
                yield item
            else:
                yield from item()

    def _listen(self) -> None:
        end = End(grpc.StatusCode.OK, "")
        try:
            for message in self._call:
                self._mailbox.put(message)
        except grpc.RpcError:
            end = End(self._call.code(), self._call.details() or "")
        finally:
            # Whoever sends waits for what to send.
            self._outgoing.put(None)
        self._mailbox.put(end)
