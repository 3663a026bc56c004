"""Reads of a stream that nobody breaks off."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, Protocol, TypeVar, cast

Message = TypeVar("Message")
Given_co = TypeVar("Given_co", covariant=True)
_END = object()


class Call(Protocol[Given_co]):
    """What ``grpc.aio`` gives for a call whose answer is a stream."""

    def __aiter__(self) -> AsyncIterator[Given_co]: ...

    def cancel(self) -> bool:
        """Ends it."""


class Received(Generic[Message]):
    """The messages of a call of ``grpc.aio``, each of which is read to its end.

    gRPC lets go of a message when it is taken: what a read was about to bring that was cancelled
    stays in memory for ever (grpc/grpc#43360). So it is the call that is cancelled, which ends its
    read.

    Args:
        call: Its answer is a stream.
    """

    def __init__(self, call: Call[Message]) -> None:
        self._call = call
        self._messages = aiter(call)

    def __aiter__(self) -> "Received[Message]":
        """It is its own iterator."""
        return self

    async def __anext__(self) -> Message:
        """Gives the next message. Who is cancelled meanwhile cancels the call.

        Raises:
            grpc.RpcError: The call failed.
        """
        reading = asyncio.ensure_future(anext(self._messages, _END))
        try:
            message = await asyncio.shield(reading)
        except asyncio.CancelledError:
            self._call.cancel()
            reading.add_done_callback(_ignore)
            raise
        if message is _END:
            raise StopAsyncIteration
        return cast("Message", message)


def _ignore(reading: "asyncio.Future[object]") -> None:
    """Takes what came of it, which nobody waits for, so that it is no error that was overlooked."""
    if not reading.cancelled():
        reading.exception()
