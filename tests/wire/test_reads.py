import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from inferry.wire.reads import Received
from tests.reads import watch_reads


@asynccontextmanager
async def counting_up(last: int) -> AsyncIterator[Any]:
    """Runs a method whose stream counts up to there, and then fails, or goes on for ever if -1."""

    async def count(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        number = 0
        while number != last:
            number += 1
            yield b"%d" % number
            if last < 0:
                await asyncio.Event().wait()
        await context.abort(grpc.StatusCode.ABORTED, "enough")

    handler: Any = grpc.unary_stream_rpc_method_handler(count)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("Counter", {"Count": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel.unary_stream("/Counter/Count")
    await server.stop(None)


async def test_all_messages_come_and_then_the_error() -> None:
    async with counting_up(3) as method:
        messages = Received[bytes](method(b""))
        assert [await anext(messages) for _ in range(3)] == [b"1", b"2", b"3"]
        with pytest.raises(grpc.aio.AioRpcError, match="enough"):
            await anext(messages)


async def test_a_reader_that_is_cancelled_ends_the_call_and_its_read_is_not_broken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = watch_reads(monkeypatch)
    async with counting_up(-1) as method:
        call = method(b"")
        messages = Received[bytes](call)
        assert await anext(messages) == b"1"
        reading = asyncio.ensure_future(anext(messages))
        await reads.until(lambda: reads.begun == 2)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await call.code() is grpc.StatusCode.CANCELLED
        await reads.until(lambda: reads.ended + reads.broken_off == 2)
    assert reads.broken_off == 0


async def test_what_comes_of_a_read_whose_reader_was_cancelled_is_no_error_that_was_overlooked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing:
        """Fails when it is cancelled, as a call does that was refused at the same moment."""

        def __init__(self) -> None:
            self.cancelled = asyncio.Event()
            self.reading = asyncio.Event()

        def __aiter__(self) -> "Failing":
            return self

        async def __anext__(self) -> bytes:
            self.reading.set()
            await self.cancelled.wait()
            raise grpc.RpcError

        def cancel(self) -> bool:
            self.cancelled.set()
            return True

    call = Failing()
    reading = asyncio.ensure_future(anext(Received[bytes](call)))
    await call.reading.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    del reading
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert "never retrieved" not in caplog.text
