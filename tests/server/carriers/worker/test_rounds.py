"""Rounds go on for as long as there is a worker to go to."""

import asyncio
from collections.abc import Iterator

import pytest

from inferry.server.carriers.worker.rounds import WorkerRounds
from inferry.server.carriers.worker.rules import SILENT_BEATS
from tests.server.carriers.worker.docks import RULES, SERVER, Docks
from tests.simulation.loop import SimulatedLoop

HOUR_S = 3_600.0


class CountingRounds(WorkerRounds):
    """Counts its rounds."""

    rounds = 0

    async def run_once(self) -> None:
        self.rounds += 1
        await super().run_once()


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    made, running = SimulatedLoop(), asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield made
    asyncio._set_running_loop(running)
    made.close()


def test_an_hour_without_a_worker_has_one_round(loop: SimulatedLoop) -> None:
    async def main() -> None:
        docks = Docks()
        rounds = CountingRounds(docks.crew, docks.fleet, RULES.beat_ms)
        rounds.start()
        await asyncio.sleep(HOUR_S)
        assert rounds.rounds == 1
        session = docks.connect()
        await asyncio.sleep(HOUR_S)
        assert rounds.rounds > HOUR_S
        # It is taken out of the list, and its stream ends.
        docks.fleet.drop(SERVER)
        await asyncio.sleep(1)
        docks.crew.disconnect(session, closed=False)
        await asyncio.sleep(1)
        before = rounds.rounds
        await asyncio.sleep(HOUR_S)
        assert rounds.rounds == before
        await rounds.stop()

    loop.run_until_complete(main())


def test_who_comes_when_nobody_has_been_there_for_long_has_no_longer_to_speak() -> None:
    docks = Docks()
    docks.crew.tick()
    docks.clock.ms += 3_600_000
    session = docks.connect()
    docks.pass_time(1)
    for _ in range(SILENT_BEATS):
        docks.pass_time(RULES.beat_ms)
    assert session.over
