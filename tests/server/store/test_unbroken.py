import asyncio
import gc
from typing import Any

import pytest

from inferry.server.store.unbroken import to_its_end


async def test_work_ends_without_its_caller_and_its_failure_dies_quietly() -> None:
    go, ended = asyncio.Event(), asyncio.Event()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def work() -> None:
        await go.wait()
        ended.set()
        raise OSError("the disk failed")

    caller = asyncio.create_task(to_its_end(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    # What other tests left on this loop may complain meanwhile.
    assert [one for one in complaints if isinstance(one.get("exception"), OSError)] == []


async def test_a_failure_reaches_a_caller_that_waits() -> None:
    async def work() -> None:
        raise OSError("the disk failed")

    with pytest.raises(OSError, match="the disk failed"):
        await to_its_end(work())
