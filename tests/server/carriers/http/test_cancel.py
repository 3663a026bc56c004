"""What is known of attempts that are being stopped."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

from inferry.server.carriers.http.caller import Caller
from inferry.server.carriers.http.cancel import Stopper
from inferry.server.outbound.client import Outbound
from inferry.server.task.record import Attempt, AttemptOutcome
from tests.backends import running_backend
from tests.server.fleets import START_MS, HandClock, new_fleet, server

GRACE_MS = 600_000
NUMBERS = (1, 2)


async def test_an_attempt_whose_server_went_and_came_back_is_stopped_once() -> None:
    broken: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    fleet, outbound, stopped, both = new_fleet(), Outbound(1_000), set[int](), asyncio.Event()

    def note(number: int) -> None:
        stopped.add(number)
        if len(stopped) == len(NUMBERS):
            both.set()

    stopper = Stopper(fleet, Caller(outbound, None), HandClock(), GRACE_MS)
    closed = Attempt(1, "srv_a", AttemptOutcome.ABORTED, "enough", START_MS, START_MS)
    await outbound.start()
    async with running_backend() as backend:
        # It does not listen, so only its own word ends this.
        backend.cancel_status = 404
        fleet.put(replace(server("a"), url=backend.url, private_allowed=True))
        for number in NUMBERS:
            stopper.stop("task_1", closed, partial(note, number))
        await backend.next_cancel()
        assert (stopped, backend.cancels.empty()) == (set(), True)
        stopper.confirm("task_1", 1)
        async with asyncio.timeout(10):
            await both.wait()
    await stopper.close()
    await outbound.close()
    # Streams that other tests left on this loop may be collected meanwhile.
    own = [one for one in broken if "asynchronous generator" not in str(one.get("exception"))]
    assert (stopper.stops(("task_1", 1)), own) == (False, [])
