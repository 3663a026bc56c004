"""Waits for one of several things."""

import asyncio
from typing import Any


async def until(event: asyncio.Event, tasks: set[asyncio.Task[None]]) -> None:
    """Waits for an event while tasks run; the first one that fails raises here."""
    waiting = asyncio.ensure_future(event.wait())
    running: set[asyncio.Future[Any]] = {waiting, *tasks}
    try:
        while not waiting.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        waiting.cancel()


async def first(*events: asyncio.Event) -> None:
    """Waits until one of some events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
