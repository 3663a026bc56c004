"""Messages of strangers that have come: how many of them a turn of the event loop takes over."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from grpc.aio import EOF

from inferry.server.errors import InferryError, UnauthenticatedError
from inferry.server.rpc.pace import Pace
from inferry.server.rpc.unread import Vouching, bounded
from tests.server.rpc.wiring import SIGNER

LARGE = b"\x7a\x80\x80\x80\x01" + b"x" * 2_097_152
SMALL = b"\x0a\x01x"
CALLS = 10


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.now = 0
        self._tick()

    def _tick(self) -> None:
        self.now += 1
        self._next = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._next.cancel()


class Arrivals:
    """Calls whose messages come at the same time, and the turns in which each was taken over."""

    def __init__(self, calls: int) -> None:
        self._come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns = Turns()
        self._waiting = asyncio.Barrier(calls + 1)
        self.first_taken = asyncio.Event()
        self.taken: list[int] = []

    def context(self, message: Any) -> Any:
        return _Call(self, message)

    async def message(self, message: Any) -> Any:
        await self._waiting.wait()
        await self._come
        self.taken.append(self._turns.now)
        self.first_taken.set()
        return message

    async def come(self) -> None:
        """Lets the messages come once every call waits for its own."""
        async with asyncio.timeout(20):
            await self._waiting.wait()
        # Those that the barrier let through wait for their messages from the next turn on.
        await asyncio.sleep(0)
        self._come.set_result(None)

    async def end(self, calls: Sequence[asyncio.Future[Any]]) -> list[Any]:
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        self._turns.stop()
        return ends


class _Call:
    def __init__(self, arrivals: Arrivals, message: Any) -> None:
        self._arrivals = arrivals
        self._message = message

    async def read(self) -> Any:
        return await self._arrivals.message(self._message)

    async def abort_with_status(self, status: Any) -> None:
        raise grpc.aio.AbortError(status.details)


def probe() -> Callable[[Any], Any]:
    async def answer(_request: Any, _context: Any) -> bytes:
        return b""

    handler: Any = bounded(grpc.unary_unary_rpc_method_handler(answer))
    return lambda context: anext(handler.stream_stream(None, context))


def report() -> Callable[[Any], Any]:
    async def answer(_request: Any, _context: Any) -> bytes:
        return b""

    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    refusal = UnauthenticatedError("who is that?")
    behaviour = Vouching(SIGNER, at_once=CALLS).behaviour(handler, answer, refusal)
    return lambda context: anext(behaviour(None, context))


async def of_strangers(kind: Callable[[], Any], message: bytes) -> tuple[list[int], list[Any]]:
    arrivals, call = Arrivals(CALLS), kind()
    calls = [asyncio.ensure_future(call(arrivals.context(message))) for _ in range(CALLS)]
    await arrivals.come()
    return arrivals.taken, await arrivals.end(calls)


@pytest.mark.parametrize("kind", [probe, report])
async def test_of_large_messages_of_strangers_a_turn_of_the_loop_takes_one(
    kind: Callable[[], Any],
) -> None:
    taken, ends = await of_strangers(kind, LARGE)
    assert Counter(taken).most_common(1)[0][1] == 1
    assert len(taken) == CALLS
    assert all(isinstance(end, (InferryError, grpc.aio.AbortError)) for end in ends)


@pytest.mark.parametrize("kind", [probe, report])
async def test_small_messages_are_taken_in_the_turn_in_which_they_come(
    kind: Callable[[], Any],
) -> None:
    taken, _ = await of_strangers(kind, SMALL)
    assert (len(taken), len(set(taken))) == (CALLS, 1)


async def test_a_turn_goes_on_until_it_has_had_its_bytes() -> None:
    arrivals, pace = Arrivals(CALLS), Pace(bytes_a_turn=2_000)
    calls = [asyncio.ensure_future(pace.read(arrivals.context(b"x" * 1_000))) for _ in range(CALLS)]
    await arrivals.come()
    await arrivals.end(calls)
    assert set(Counter(arrivals.taken).values()) == {2}


async def test_a_message_that_has_come_is_taken_though_its_sender_hung_up() -> None:
    arrivals, pace = Arrivals(3), Pace()
    calls = [asyncio.ensure_future(pace.read(arrivals.context(LARGE))) for _ in range(3)]
    await arrivals.come()
    await arrivals.first_taken.wait()
    hung_up = [call.cancel() for call in calls]
    ends = await arrivals.end(calls)
    assert [isinstance(end, asyncio.CancelledError) for end in ends] == hung_up
    assert (hung_up.count(True), len(arrivals.taken)) == (2, 3)


async def test_who_waits_for_a_message_can_give_up() -> None:
    arrivals, pace = Arrivals(1), Pace()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await pace.read(arrivals.context(EOF))
    call = asyncio.ensure_future(pace.read(arrivals.context(EOF)))
    await arrivals.come()
    assert (await arrivals.end([call]), len(arrivals.taken)) == ([EOF], 1)
