# Made of tests/client/aio/test_reads.py by tools/unasync.py.
"""Streams whose reader does not want the rest."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inferry.client import Client
from tests.client.scripted import Scripted
from tests.reads import watch_reads


def watch(client: Client) -> Iterator[Any]:
    client.submit("hold")
    for change in client.watch():
        yield change


def follow(client: Client) -> Iterator[Any]:
    task = client.submit("hold")
    for event in task.events():
        yield event


@pytest.mark.parametrize("stream", [watch, follow])
def test_a_reader_that_is_cancelled_leaves_no_read_behind_that_was_broken_off(
    client: Client,
    gateway: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    stream: Callable[[Client], Iterator[Any]],
) -> None:
    reads = watch_reads(monkeypatch)

    def read() -> None:
        for _ in stream(client):
            pass

    reading = asyncio.create_task(read())
    # The second one waits for what does not come.
    reads.until(lambda: reads.begun > 1 and reads.begun == reads.ended + 1)
    reading.cancel()
    asyncio.wait([reading])
    reads.until(lambda: reads.begun == reads.ended + reads.broken_off)
    assert reads.broken_off == 0
