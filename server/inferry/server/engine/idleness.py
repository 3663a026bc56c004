"""Notices workers that have nothing to do while work waits that they could do: that is a bug.

A task is given away within moments. A worker that could take one at two looks in a row, got none
between them, and saw capable work wait both times, was idle for all that time.
"""

import asyncio
from collections.abc import Mapping

from inferry.server.clock import Clock
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lines import Lines
from inferry.server.fleet.routing import Rule, hindrance
from inferry.server.loop import Loop
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.task.route import type_of

#: Between two looks.
LOOK_S = 1.0


class Idleness(Loop):
    """Looks at the workers that could take more than they have.

    Args:
        fleet: The workers.
        backlog: What waits.
        pauses: The types that are held back.
        clock: The time.
    """

    def __init__(self, fleet: Fleet, backlog: Backlog, pauses: PausedTypes, clock: Clock) -> None:
        super().__init__()
        self._fleet = fleet
        self._lines = Lines(fleet)
        self._backlog = backlog
        self._pauses = pauses
        self._clock = clock
        #: The workers that could take more at the last look, and what each had got by then.
        self._idle: Mapping[str, int] = {}
        self._looked_ms = 0

    async def run_once(self) -> None:
        """Looks, and counts the time since the last look for those that were idle all of it."""
        now = self._clock.now_ms()
        before, self._idle = self._idle, self._look()
        for server_id, assigned in self._idle.items():
            if before.get(server_id) == assigned:
                self._lines.idled(server_id, now - self._looked_ms)
        self._looked_ms = now

    async def pause(self) -> None:
        """Waits for the next look."""
        await asyncio.sleep(LOOK_S)

    def _look(self) -> dict[str, int]:
        able = {
            member.record.id: member.line.assigned
            for member in self._fleet
            if member.line is not None and hindrance(member) is Rule.ELIGIBLE
        }
        if not able:
            return {}
        wanted = {
            member.record.id
            for route in self._backlog.routes
            if type_of(route) not in self._pauses
            for member in self._fleet.capable(route)
        }
        return {server_id: got for server_id, got in able.items() if server_id in wanted}
