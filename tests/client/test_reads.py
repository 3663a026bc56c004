"""Streams whose reader does not want the rest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from inferry.client import AsyncClient
from tests.client.scripted import Scripted
from tests.reads import watch_reads


async def watch(client: AsyncClient) -> AsyncIterator[Any]:
    await client.submit("hold")
    async for change in client.watch():
        yield change


async def follow(client: AsyncClient) -> AsyncIterator[Any]:
    task = await client.submit("hold")
    async for event in task.events():
        yield event


@pytest.mark.parametrize("stream", [watch, follow])
async def test_a_reader_that_is_cancelled_leaves_no_read_behind_that_was_broken_off(
    gateway: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    stream: Callable[[AsyncClient], AsyncIterator[Any]],
) -> None:
    reads = watch_reads(monkeypatch)

    async def read() -> None:
        async with AsyncClient(gateway.address, "secret") as client:
            async for _ in stream(client):
                pass

    reading = asyncio.create_task(read())
    # The second one waits for what does not come.
    await reads.until(lambda: reads.begun > 1 and reads.begun == reads.ended + 1)
    reading.cancel()
    await asyncio.wait([reading])
    await reads.until(lambda: reads.begun == reads.ended + reads.broken_off)
    assert reads.broken_off == 0
