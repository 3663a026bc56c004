"""Lists and counts tasks: what the store finds, as far as it passes a sieve."""

import asyncio

from inferry.server.engine.sieve import OPEN, SCAN_LIMIT, SCAN_STEP, Count, Selected, Sieve
from inferry.server.store import Store, TaskFilter
from inferry.server.task.record import TaskRecord


class Lists:
    """Lists and counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self, wanted: TaskFilter, sieve: Sieve, before: int | None, limit: int
    ) -> Selected:
        """Lists tasks, newest first, below a number; at most ``SCAN_LIMIT`` are looked at."""
        if sieve != OPEN:
            return await self.select(wanted, sieve, before, limit)
        found = await self._store.tasks(wanted, before, limit + 1)
        return Selected(found[:limit], found[limit - 1][0] if len(found) > limit else None)

    async def select(
        self, wanted: TaskFilter, sieve: Sieve, before: int | None, limit: int
    ) -> Selected:
        """Lists the tasks of a list that pass a sieve; at most ``SCAN_LIMIT`` are looked at."""
        found: list[tuple[int, TaskRecord]] = []
        for _ in range(SCAN_LIMIT // SCAN_STEP):
            some = await self._store.tasks(wanted, before, SCAN_STEP)
            for number, record in some:
                if sieve.is_past(record):
                    return Selected(found, None)
                if sieve.passes(record):
                    found.append((number, record))
                    if len(found) == limit:
                        return Selected(found, number)
            if len(some) < SCAN_STEP:
                return Selected(found, None)
            before = some[-1][0]
            # Others have their turn in between.
            await asyncio.sleep(0)
        return Selected(found, before)

    async def count(self, wanted: TaskFilter, sieve: Sieve) -> Count:
        """Counts tasks up to ``SCAN_LIMIT``: with a sieve, those among the first so many."""
        if sieve == OPEN:
            tasks = await self._store.count(wanted, SCAN_LIMIT + 1)
            return Count(min(tasks, SCAN_LIMIT), tasks > SCAN_LIMIT)
        selected = await self.select(wanted, sieve, None, SCAN_LIMIT + 1)
        return Count(len(selected.tasks), selected.before is not None)
