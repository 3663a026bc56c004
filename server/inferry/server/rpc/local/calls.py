"""Calls in the same process: what a stub returns, as ``grpc.aio`` has it.

The handler runs in the task that awaits the call, or that iterates over its responses. So a call
does nothing before that, and cancelling that task cancels the handler.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing, suppress
from typing import Any, cast

import grpc
from grpc import StatusCode
from grpc.aio import EOF, AioRpcError, Metadata, UsageError

from inferry.server.rpc.local.context import LocalContext

Behaviour = Callable[[Any, LocalContext], Any]


class _Call(grpc.aio.Call):
    """What all calls share. What tells of the end waits for it."""

    def __init__(self, behaviour: Behaviour, request: Any, context: LocalContext) -> None:
        self._behaviour = behaviour
        self._request = request
        self._context = context
        #: The task that runs the handler now.
        self._runner: asyncio.Task[Any] | None = None

    def cancel(self) -> bool:
        """Cancels the call, and so whatever awaits it; False if it has ended."""
        if self._context.done():
            return False
        if self._runner is not None:
            self._runner.cancel()
        else:
            self._drop()
        return True

    def _drop(self) -> None:
        self._context.end_by(asyncio.CancelledError())

    def cancelled(self) -> bool:
        return self._context.cancelled()

    def done(self) -> bool:
        return self._context.done()

    def time_remaining(self) -> float | None:
        return cast("float | None", self._context.time_remaining())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._context.add_done_callback(lambda _: callback(self))

    async def initial_metadata(self) -> Metadata:
        return self._context.initial_metadata()

    async def trailing_metadata(self) -> Metadata:
        await self._ended()
        return self._context.trailing_metadata()

    async def code(self) -> StatusCode:
        await self._ended()
        return cast("StatusCode", self._context.code())

    async def details(self) -> str:
        await self._ended()
        return self._context.details()

    async def wait_for_connection(self) -> None:
        """Returns at once: there is nothing to connect."""

    async def write(self, _request: Any) -> None:
        raise UsageError("give the call an iterator of requests")

    async def done_writing(self) -> None:
        raise UsageError("give the call an iterator of requests")

    async def _ended(self) -> None:
        if not self._context.done():
            ended = asyncio.Event()
            self._context.add_done_callback(lambda _: ended.set())
            await ended.wait()

    async def _run(self, step: Any) -> Any:
        """Runs the handler on: to its next response, or to its end."""
        deadline = self._context.deadline
        self._runner = asyncio.current_task()
        try:
            if deadline is None:
                return await step
            async with asyncio.timeout_at(deadline):
                return await step
        except TimeoutError:
            self._context.end(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            raise self._context.failure() from None
        finally:
            self._runner = None


class UnaryCall(_Call, grpc.aio.UnaryUnaryCall[Any, Any], grpc.aio.StreamUnaryCall[Any, Any]):
    """A call with one response: await it."""

    _started = False
    _response: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        if self._started or self._context.done():
            return self._result().__await__()
        self._started = True
        responding = self._respond()
        if self._context.deadline is not None:
            responding = self._run(responding)
        return responding.__await__()

    async def _result(self) -> Any:
        await self._ended()
        self._context.check()
        return self._response

    async def _respond(self) -> Any:
        context = self._context
        self._runner = asyncio.current_task()
        try:
            self._response = response = await self._behaviour(self._request, context)
        except BaseException as error:  # noqa: BLE001  # raised again
            raise context.end_by(error) from None
        finally:
            self._runner = None
        context.end()
        context.check()
        return response

    async def _ended(self) -> None:
        if not self._started and not self._context.done():
            with suppress(AioRpcError):
                await self
        await super()._ended()


class StreamCall(_Call, grpc.aio.UnaryStreamCall[Any, Any], grpc.aio.StreamStreamCall[Any, Any]):
    """A call with a stream of responses: iterate over it. One that is dropped is cancelled."""

    def __init__(self, behaviour: Behaviour, request: Any, context: LocalContext) -> None:
        super().__init__(behaviour, request, context)
        self._responses = _respond(behaviour, request, context)
        self._closing: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._context.done():
            with suppress(StopAsyncIteration):
                return await self._run(anext(self._responses))
        self._context.check()
        raise StopAsyncIteration

    async def read(self) -> Any:
        """Gives the next response, or ``EOF``."""
        return await anext(self, EOF)

    def _drop(self) -> None:
        super()._drop()
        self._closing = asyncio.get_running_loop().create_task(self._responses.aclose())


async def _respond(
    behaviour: Behaviour, request: Any, context: LocalContext
) -> AsyncGenerator[Any, None]:
    # Apart from the call: when that is dropped, the loop closes this, and this the handler.
    try:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                yield response
    except BaseException as error:  # noqa: BLE001  # raised again
        raise context.end_by(error) from None
    context.end()
