"""Measures how two replicas get over what is done to their PostgreSQL under a steady load.

In each part something is done to the database; then tasks a second are counted from 10 s after it
was over, for as long as before it. During all of it an idle transaction of somebody else holds
locks on tasks, and one client asks each second to cancel one of them.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from benchmarks.machine import describe
from benchmarks.steady import CAREFUL, SCRATCH, Offer, Steady, running_postgres, under_steady_load
from tests.backends import running_backend, say
from tests.crash.database import Database
from tests.crash.gateways import running_gateways
from tests.postgres import database

#: Between the beginnings of two tasks of a client: less than what the gateways could do, so that
#: what is measured is them, and not what else the machine does.
EACH_S = 0.25
MEASURE_S = 15.0
RECOVERED_WITHIN_S = 10.0
WARM_UP_S = 5.0
LOCKED = 3


async def measure(steady: Steady, name: str, harm: Callable[[], Awaitable[None]]) -> None:
    """Prints a line on what one harm did."""
    began_s = time.monotonic()
    await asyncio.sleep(MEASURE_S)
    baseline, refused = steady.rate(began_s, time.monotonic()), steady.refused
    await harm()
    over_s = time.monotonic()
    await asyncio.sleep(RECOVERED_WITHIN_S + MEASURE_S)
    begin_s = over_s + RECOVERED_WITHIN_S
    after = steady.rate(begin_s, begin_s + MEASURE_S)
    first_s = next((one - over_s for one in steady.ends_s if one > over_s), float("nan"))
    print(
        f"{name:<36}{baseline:>8.0f}{after:>8.0f}{after / baseline:>8.1%}"
        f"{first_s:>10.2f}{steady.refused - refused:>9}",
        flush=True,
    )


async def nothing() -> None:
    """Does nothing, which tells how much the numbers say."""


async def main() -> None:
    """Prints a line for each thing that is done to the database."""
    SCRATCH.mkdir(exist_ok=True)
    for what, value in describe(SCRATCH).items():
        print(f"{what:<12}{value}")
    with running_postgres() as server, tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        async with (
            database(server.url) as url,
            running_backend(say({"status": "success", "result": 1})) as backend,
            running_gateways(Path(folder), {}, url, 2) as gateways,
            under_steady_load(gateways, backend, Offer(each_s=EACH_S)) as steady,
        ):
            chaos = Database(server, url, CAREFUL)
            print(f"{'':<36}{'before':>8}{'after':>8}{'':>8}{'first, s':>10}{'refused':>9}")
            await asyncio.sleep(WARM_UP_S)
            await measure(steady, "nothing", nothing)
            locked = [await steady.wait_for_nobody() for _ in range(LOCKED)]
            for name, harm in (
                ("tasks locked by an idle transaction", lambda: chaos.lock(locked)),
                ("every connection terminated", chaos.terminate_all),
                ("every connection taken for 3 s", chaos.exhaust),
                ("restarted in order", chaos.restart),
                ("crashed and recovered", chaos.crash),
            ):
                await measure(steady, name, harm)
            await chaos.let_go()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
