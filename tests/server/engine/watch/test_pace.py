"""How often a watch speaks."""

import asyncio
from unittest.mock import Mock

import pytest

from inferry.server.engine.watch.news import QUIET_S, Pace
from tests.simulation.loop import SimulatedLoop


def test_a_watch_of_which_there_is_nothing_to_say_sleeps_on() -> None:
    slept: list[float] = []

    async def sleep(at_most_s: float) -> None:
        slept.append(at_most_s)
        await asyncio.sleep(at_most_s)

    async def watch() -> None:
        # Of no such time 15 s are exact.
        await asyncio.sleep(0.1)
        pace = Pace(Mock(sleep=sleep))
        pace.said({1: 7})
        for _ in range(4):
            await pace.wait()
            assert not pace.due({1: 7})
        await pace.wait()
        assert pace.due({1: 8})

    loop = SimulatedLoop()
    loop.run_until_complete(watch())
    loop.close()
    assert slept == pytest.approx([QUIET_S] * 5)
