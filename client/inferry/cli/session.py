"""A command's way to the gateway: synchronous stubs on one channel, and what its refusals mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import grpc
import typer
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from inferry.cli.access import Access
from inferry.cli.exit_codes import ExitCode
from inferry.cli.terminal import say
from inferry.cli.tokens import local_token
from inferry.v1.queue_service_pb2_grpc import QueueServiceStub
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

#: How long an answer that needs no waiting may take.
CALL_TIMEOUT_S = 30.0
#: A task with the largest payload and the largest result that any setting allows.
_MAX_MESSAGE_BYTES = 129 * 1024 * 1024

#: OK is the end of a stream that has none: somebody on the way closed it.
_UNREACHABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.OK,
}
#: How streams end that somebody on the way cut, unless the gateway itself says so.
_CUT = {grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL}


@dataclass(frozen=True, slots=True)
class Session:
    """Stubs, and the metadata that each call carries."""

    tasks: TaskServiceStub
    servers: ServerServiceStub
    queue: QueueServiceStub
    metadata: tuple[tuple[str, str], ...]

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Asked, Answered]",
        request: Asked,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> Answered:
        """Calls a method of one answer; ``timeout_s`` None waits as long as it takes.

        Raises:
            RpcError: The gateway refused or cannot be reached.
        """
        return method(request, timeout=timeout_s, metadata=self.metadata)


def open_channel(address: str) -> grpc.Channel:
    """Opens a channel to a gateway."""
    options = [
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        # The address is the gateway's own: http_proxy is for browsers.
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.insecure_channel(address, options=options)


def session_on(channel: grpc.Channel, metadata: tuple[tuple[str, str], ...]) -> Session:
    """Makes the stubs on a channel."""
    stubs = TaskServiceStub(channel), ServerServiceStub(channel), QueueServiceStub(channel)
    return Session(*stubs, metadata)


@contextmanager
def connected(context: typer.Context) -> Iterator[Session]:
    """Gives a command its session, and turns the gateway's refusals into exit statuses."""
    access: Access = context.obj
    token = access.token or local_token(access.address.rpartition(":")[0])
    if token is None:
        say(
            "no token: give --token or INFERRY_TOKEN; `inferry token` makes one on the "
            "gateway's machine",
            err=True,
        )
        raise typer.Exit(ExitCode.REFUSED)
    channel = (access.open_channel or open_channel)(access.address)
    try:
        yield session_on(channel, (("authorization", f"Bearer {token}"),))
    except grpc.RpcError as error:
        say(_explain(error, access.address), err=True)
        unreachable = error.code() in _UNREACHABLE
        raise typer.Exit(ExitCode.UNREACHABLE if unreachable else ExitCode.REFUSED) from None
    finally:
        channel.close()


def passes(error: grpc.RpcError) -> bool:
    """Whether the gateway, or the way to it, is away for now: the same may work later."""
    cut = error.code() in _CUT and _reason(error) is None
    return cut or error.code() in _UNREACHABLE


def why(error: grpc.RpcError) -> str:
    """Says in a few words what ended a call."""
    return error.details() or "it ended the stream"


def _explain(error: grpc.RpcError, address: str) -> str:
    reason = _reason(error)
    if error.code() in _UNREACHABLE and reason is None:
        return (
            f"cannot reach the gateway at {address} ({why(error)}): does `inferry serve` "
            "run there? --address or INFERRY_ADDRESS says where"
        )
    return f"refused: {error.details()} ({reason or error.code().name})"


def _reason(error: grpc.RpcError) -> str | None:
    """Finds the gateway's own code for the error; None when it did not come from a gateway."""
    status = rpc_status.from_call(cast("grpc.Call", error))
    info = ErrorInfo()
    if status is not None and any(detail.Unpack(info) for detail in status.details):
        return str(info.reason)
    return None
