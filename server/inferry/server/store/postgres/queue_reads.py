"""What the PostgreSQL store reads of the queue: see ``Store`` for what each call does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from inferry.server.queue.fair_queue import Waiting
from inferry.server.store import LineRead
from inferry.server.store.postgres.queries import LINES_GIVEN, QUERIES, arrays
from inferry.server.store.rows import Row

#: Before every line of a route, and before every task of a line.
_NO_LINE = ("", -1)
_NO_TASK = (0, "")


class PostgresQueueReads(ABC):
    """Counts what waits, and finds it line by line."""

    @abstractmethod
    async def _rows(self, query: str, *values: Any) -> list[Row]:
        """Runs a query."""

    async def waiting_counts(self) -> dict[tuple[str, str], int]:
        """See ``Store.waiting_counts``."""
        rows = await self._rows(QUERIES["waiting_counts"])
        return {(tenant, name): tasks for tenant, name, tasks in rows}

    async def delayed_counts(self, now_ms: int) -> dict[str, int]:
        """See ``Store.delayed_counts``."""
        return {str(name): n for name, n in await self._rows(QUERIES["delayed_counts"], now_ms)}

    async def running_counts(self) -> dict[str, int]:
        """See ``Store.running_counts``."""
        return {str(name): n for name, n in await self._rows(QUERIES["running_counts"])}

    async def size_bytes(self) -> int:
        """See ``Store.size_bytes``: it is all that the database has."""
        ((size,),) = await self._rows(QUERIES["size_bytes"])
        return int(size)

    async def waiting_routes(self, after: str, limit: int) -> list[str]:
        """See ``Store.waiting_routes``."""
        return [route for (route,) in await self._rows(QUERIES["waiting_routes"], after, limit)]

    async def waiting_lines(
        self, route: str, after: tuple[str, int] | None, limit: int
    ) -> list[tuple[str, int]]:
        """See ``Store.waiting_lines``."""
        line = after or _NO_LINE
        rows = await self._rows(QUERIES["waiting_lines"], route, *line, limit)
        return [(tenant, priority) for tenant, priority in rows]

    async def waiting_tasks(self, reads: Sequence[LineRead]) -> list[list[Waiting]]:
        """See ``Store.waiting_tasks``."""
        found: list[list[Waiting]] = [[] for _ in reads]
        given = [(*line, *(first or _NO_TASK), limit) for line, first, limit in reads]
        for place, *row in await self._rows(QUERIES["waiting_tasks"], *arrays(given, LINES_GIVEN)):
            found[place - 1].append(Waiting(*row))
        return found
