"""What becomes of the reads that calls of ``grpc.aio`` begin."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from grpc.aio import _call

_WITHIN_S = 20


class Reads:
    """Counts them."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        #: By who cancelled them: gRPC keeps what they were about to bring.
        self.broken_off = 0
        self._changed = asyncio.Event()

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Waits until they are as wanted."""
        async with asyncio.timeout(_WITHIN_S):
            while not wanted():
                self._changed.clear()
                await self._changed.wait()

    async def count(self, read: Callable[[Any], Any], call: Any) -> Any:
        """Counts one."""
        # Before the request is sent there is none.
        await call._preparation
        self.begun += 1
        self._changed.set()
        try:
            message = await read(call)
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        else:
            self.ended += 1
            return message
        finally:
            self._changed.set()


def watch_reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Counts the reads of streams from now on."""
    reads, read = Reads(), _call.UnaryStreamCall._read
    monkeypatch.setattr(_call.UnaryStreamCall, "_read", lambda call: reads.count(read, call))
    return reads
