"""What the gateway knows when nothing is left to do."""

import asyncio
from contextlib import suppress
from typing import Any

from tests.crash.history import FINAL, Json, Remains
from tests.crash.rest import Rest

#: All that timeouts leave to tasks, and more.
_ENDS_WITHIN_S = 60
_EVENTS_WITHIN_S = 10
_PAUSE_S = 0.1
_AT_ONCE = 16


async def collect(rest: Rest) -> dict[str, Remains]:
    """Waits until no task is unfinished, at most a minute, and reads all of them."""
    # If they do not end, the checker says which.
    with suppress(TimeoutError):
        async with asyncio.timeout(_ENDS_WITHIN_S):
            await _all_ended(rest)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def read(task_id: str) -> Remains:
        path = f"/api/tasks/{task_id}"
        async with at_once:
            task = await _get(rest, path)
            attempts = await _get(rest, f"{path}/attempts")
            events = await _events(rest, task)
        return Remains(task, events, attempts["attempts"])

    ids = await _ids(rest)
    return dict(zip(ids, await asyncio.gather(*map(read, ids)), strict=True))


async def _all_ended(rest: Rest) -> None:
    while True:
        left = [await _ids(rest, f"&status={status}") for status in ("PENDING", "PROCESSING")]
        if not any(left):
            return
        await asyncio.sleep(_PAUSE_S)


async def _ids(rest: Rest, wanted: str = "") -> list[str]:
    """Lists the ids of all tasks."""
    ids: list[str] = []
    page_token = ""
    while True:
        page = await _get(rest, f"/api/tasks?pageSize=500&pageToken={page_token}{wanted}")
        ids += [task["id"] for task in page["tasks"]]
        page_token = page.get("nextPageToken", "")
        if not page_token:
            return ids


async def _events(rest: Rest, task: Json) -> list[Json]:
    """Reads a task's events; those of one that never ended until no more come."""
    events: list[Json] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(_EVENTS_WITHIN_S):
            while not any(event.get("status") in FINAL for event in events):
                # One by one: what came before the time is over counts.
                async for event in rest.events(task["id"], events[-1]["seq"] if events else 0):
                    events.append(event)  # noqa: PERF401
    return events


async def _get(rest: Rest, path: str) -> Any:
    status, answer = await rest.until_answered("GET", path)
    assert status == 200, (path, status, answer)
    return answer
