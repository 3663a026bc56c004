"""All that is counted as it happens, in one place."""

from collections.abc import Iterable, Iterator

from inferry.server.telemetry.counts import Count, Reading, Spread
from inferry.server.telemetry.names import Names
from inferry.wire import figures

#: Types of tasks that have series of their own.
TYPES_LIMIT = 200
#: Tenants that have.
TENANTS_LIMIT = 200


class Meters:
    """The counts of a gateway. Whoever sees something happen adds to its own.

    Args:
        types: Types that are known whether or not a server is capable of them.
        tenants: Tenants that are counted by name; none are counted if there are none.
    """

    def __init__(self, types: Iterable[str] = (), tenants: Iterable[str] = ()) -> None:
        #: The types by which tasks are told apart.
        self.types = Names(TYPES_LIMIT, types)
        #: The tenants by which they are.
        self.tenants = Names(TENANTS_LIMIT, tenants)
        self.tasks_created = Count(figures.TASKS_CREATED)
        self.tasks_retried = Count(figures.TASKS_RETRIED)
        self.tasks_finished = Count(figures.TASKS_FINISHED)
        self.task_wait = Spread(figures.TASK_WAIT)
        self.task_run = Spread(figures.TASK_RUN)
        self.attempts = Count(figures.ATTEMPTS)
        self.dispatch = Spread(figures.DISPATCH)
        self.stale_reports = Count(figures.STALE_REPORTS)
        self.leases_lost = Count(figures.LEASES_LOST)
        self.tenant_tasks_created = Count(figures.TENANT_TASKS_CREATED)
        self.tenant_tasks_finished = Count(figures.TENANT_TASKS_FINISHED)
        self.commit = Spread(figures.COMMIT)
        self.commit_operations = Spread(figures.COMMIT_OPERATIONS)
        self.streams = Count(figures.STREAMS)
        self.webhook_deliveries = Count(figures.WEBHOOK_DELIVERIES)
        self.rpc_duration = Spread(figures.RPC_DURATION)

    def read(self) -> Iterator[Reading]:
        """Gives all series that were counted."""
        for counted in vars(self).values():
            if isinstance(counted, Count | Spread):
                yield from counted.read()
