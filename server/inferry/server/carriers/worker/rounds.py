"""Lets time pass for the workers: heartbeats, leases, tokens, what was not acknowledged."""

import asyncio

from inferry.server.carriers.worker.crew import Crew
from inferry.server.fleet.fleet import Fleet
from inferry.server.loop import Loop, wait_for

#: Rounds in the time between two heartbeats, and their bounds.
_ROUNDS_A_BEAT = 20
_SHORTEST_S, _LONGEST_S = 0.01, 0.25
#: Between two rounds at least: what turns together is seen together.
_STEP_S = 0.01


class WorkerRounds(Loop):
    """Goes round the workers.

    Args:
        crew: All of them.
        fleet: Tells when one was drained or is to go.
        beat_ms: Between two heartbeats.
    """

    def __init__(self, crew: Crew, fleet: Fleet, beat_ms: int) -> None:
        super().__init__()
        self._crew = crew
        self._fleet = fleet
        self._round_s = min(_LONGEST_S, max(_SHORTEST_S, beat_ms / _ROUNDS_A_BEAT / 1_000))

    async def run_once(self) -> None:
        """Goes round once."""
        self._crew.tick()

    async def pause(self) -> None:
        """Waits for the next round, or until a server turned; for as long as nobody is there."""
        await asyncio.sleep(_STEP_S)
        await self._crew.present.wait()
        await wait_for(self._fleet.turned, self._round_s)
