"""How many tasks wait, by route and by tenant: counted here, kept in the store."""

from collections import Counter
from collections.abc import Mapping

from inferry.server.errors import QueueFullError
from inferry.server.routing import route_of
from inferry.server.task import TaskSpec


class Backlog:
    """The waiting tasks, counted."""

    def __init__(self, limit: int, limit_per_tenant: int) -> None:
        self._limit = limit
        self._limit_per_tenant = limit_per_tenant
        self._routes: Counter[str] = Counter()
        self._tenants: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All waiting tasks."""
        return self._routes.total()

    @property
    def routes(self) -> Mapping[str, int]:
        """Waiting tasks by route; none of them zero."""
        return self._routes

    def paused(self, task_type: str) -> bool:  # noqa: ARG002
        """Whether the tasks of a type are held back."""
        return False

    def check(self, tenant: str) -> None:
        """Refuses another waiting task when the queue is full.

        Raises:
            QueueFullError: It is, in all or for this tenant.
        """
        if self.total >= self._limit:
            raise QueueFullError(
                f"{self.total} tasks wait, the limit is {self._limit}; try again later",
                retry_after_s=5,
                limit=self._limit,
            )
        if self._tenants[tenant] >= self._limit_per_tenant:
            raise QueueFullError(
                f"{self._tenants[tenant]} tasks of yours wait, the limit is "
                f"{self._limit_per_tenant}; try again later",
                retry_after_s=5,
                limit=self._limit_per_tenant,
            )

    def add(self, route: str, tenant: str, count: int = 1) -> None:
        """Counts tasks that began to wait; a negative number those that ceased to."""
        for counter, key in ((self._routes, route), (self._tenants, tenant)):
            counter[key] += count
            if not counter[key]:
                del counter[key]

    def enter(self, spec: TaskSpec) -> None:
        """Counts a task that began to wait."""
        self.add(route_of(spec.type, spec.capabilities), spec.tenant)

    def leave(self, spec: TaskSpec) -> None:
        """Counts a task that ceased to wait."""
        self.add(route_of(spec.type, spec.capabilities), spec.tenant, -1)
