"""Queues for tests, and ways to empty them."""

from collections.abc import Collection, Iterable, Mapping

from inferry.server.queue.fair_queue import FairQueue, Waiting

NOW = 1_704_067_200_000
MINUTE = 60_000


def task(
    task_id: str,
    tenant: str = "acme",
    *,
    route: str = "echo",
    priority: int = 0,
    queued_ms: int = NOW,
    not_before_ms: int = 0,
) -> Waiting:
    return Waiting(task_id, route, tenant, priority, queued_ms, not_before_ms)


def line(tenant: str, count: int, first_ms: int = NOW, priority: int = 0) -> list[Waiting]:
    """Makes tasks of one tenant, a millisecond apart."""
    return [
        task(f"task_{tenant}_{n:04d}", tenant, queued_ms=first_ms + n, priority=priority)
        for n in range(count)
    ]


def queue_of(tasks: Iterable[Waiting], weights: Mapping[str, float] | None = None) -> FairQueue:
    queue = FairQueue(weights or {})
    for one in tasks:
        queue.add(one)
    return queue


def take(
    queue: FairQueue, count: int, now_ms: int = NOW, routes: Collection[str] | None = None
) -> list[Waiting]:
    """Takes tasks in their order, from all routes or some."""
    wanted = list(queue.routes) if routes is None else routes
    return [given for given, _ in queue.allocate(wanted, lambda _: "slot", now_ms, count)]


def tenants(taken: Iterable[Waiting]) -> str:
    """Spells the order of tenants, each by the first letter."""
    return "".join(one.tenant[0] for one in taken)
