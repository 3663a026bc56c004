"""What the SQLite store reads of the queue: see ``Store`` for what each call does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from inferry.server.queue.fair_queue import Waiting
from inferry.server.store import LineRead
from inferry.server.store.rows import Row
from inferry.server.store.sqlite.queries import QUERIES

_WAITING_TASKS = QUERIES["waiting_tasks"]
#: Before every line of a route, and before every task of a line.
_NO_LINE = ("", -1)
_NO_TASK = (0, "")


class SqliteQueueReads(ABC):
    """Counts what waits, and finds it line by line."""

    @abstractmethod
    def _rows(self, query: str, values: Row | dict[str, str | int] = ()) -> list[Row]:
        """Runs a query to its end."""

    async def waiting_counts(self) -> dict[tuple[str, str], int]:
        """See ``Store.waiting_counts``."""
        return {(tenant, name): n for tenant, name, n in self._rows(QUERIES["waiting_counts"])}

    async def delayed_counts(self, now_ms: int) -> dict[str, int]:
        """See ``Store.delayed_counts``."""
        return {str(name): int(n) for name, n in self._rows(QUERIES["delayed_counts"], (now_ms,))}

    async def running_counts(self) -> dict[str, int]:
        """See ``Store.running_counts``."""
        return {str(name): int(n) for name, n in self._rows(QUERIES["running_counts"])}

    async def size_bytes(self) -> int:
        """See ``Store.size_bytes``; what the log has beside it is bounded."""
        ((size,),) = self._rows(QUERIES["size_bytes"])
        return int(size)

    async def waiting_routes(self, after: str, limit: int) -> list[str]:
        """See ``Store.waiting_routes``."""
        values: dict[str, str | int] = {"after": after, "limit": limit}
        return [route for (route,) in self._rows(QUERIES["waiting_routes"], values)]

    async def waiting_lines(
        self, route: str, after: tuple[str, int] | None, limit: int
    ) -> list[tuple[str, int]]:
        """See ``Store.waiting_lines``."""
        tenant, priority = after or _NO_LINE
        values: dict[str, str | int] = {
            "route": route,
            "tenant": tenant,
            "priority": priority,
            "limit": limit,
        }
        found = self._rows(QUERIES["waiting_lines"], values)
        return [(tenant, priority) for tenant, priority in found]

    async def waiting_tasks(self, reads: Sequence[LineRead]) -> list[list[Waiting]]:
        """See ``Store.waiting_tasks``."""
        return [
            [
                Waiting(*row)
                for row in self._rows(_WAITING_TASKS, (*line, *(first or _NO_TASK), limit))
            ]
            for line, first, limit in reads
        ]
