"""Measures a full queue of many tenants: how long a round holds the loop. See docs/benchmarks.md.

python -m benchmarks.full_queue
"""

import time
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from inferry.server.app.rules import fleet_rules
from inferry.server.config import Config
from inferry.server.engine.scheduler import ROUND_LIMIT
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.free_slots import FreeSlots
from inferry.server.fleet.record import ServerRecord
from inferry.server.queue.backlog import Backlog
from inferry.server.task.lifecycle import create
from inferry.server.task.record import TaskSpec

ROUTES, TENANTS = 10, 1_000
#: Priorities of the tasks that each tenant has waiting in each route.
LINES = {"one task": (0,), "four priorities": (0, 3, 5, 9)}
START_MS = 1_704_067_200_000
#: How long it took until all of them were there.
ARRIVAL_MS = 20_000
RUNS = 5


class HandClock:
    """Stands where it is put."""

    ms = START_MS

    def now_ms(self) -> int:
        """Tells it."""
        return self.ms


def full(clock: HandClock, priorities: tuple[int, ...]) -> Backlog:
    """Fills a queue: each tenant waits in each route, with a task of each priority."""
    backlog = Backlog(clock, {}, 100_000)
    total = ROUTES * TENANTS * len(priorities)
    for number in range(total):
        rest, tenant = divmod(number, TENANTS)
        line, route = divmod(rest, ROUTES)
        created_ms = START_MS + number * ARRIVAL_MS // total
        spec = _spec(number, f"tenant-{tenant}", f"type-{route}", priorities[line], created_ms)
        backlog.enter(create(spec, 0)[0])
    return backlog


def fleet() -> Fleet:
    """Makes a server for each route, with slots for all."""
    made = Fleet(fleet_rules(Config.model_construct()))
    for number in range(ROUTES):
        made.put(
            ServerRecord(
                id=f"srv_{number}",
                url=f"http://127.0.0.1:{8000 + number}",
                name=f"server-{number}",
                capabilities=frozenset({f"type-{number}"}),
                max_concurrent=10_000,
                metadata=b"{}",
                draining=False,
                private_allowed=True,
                created_ms=START_MS,
                updated_ms=START_MS,
            )
        )
    return made


def rounds(priorities: tuple[int, ...]) -> dict[str, float]:
    """Measures rounds in milliseconds: all but the commit, for which the loop is free."""
    clock, servers = HandClock(), fleet()
    backlog = full(clock, priorities)

    def round_at(ms: int) -> float:
        clock.ms = START_MS + ms
        return _took_ms(lambda: _give(backlog, servers, clock.ms))

    return {
        "the first": round_at(ARRIVAL_MS),
        "the next": round_at(ARRIVAL_MS + 50),
        "when all have aged a step": round_at(ARRIVAL_MS + 60_050),
        "the next after that": round_at(ARRIVAL_MS + 60_100),
    }


def _give(backlog: Backlog, servers: Fleet, now_ms: int) -> None:
    slots = FreeSlots(servers, now_ms)
    given = backlog.allocate(slots.suit, slots.take, now_ms, ROUND_LIMIT)
    if sum(map(len, given.values())) != ROUND_LIMIT:
        raise RuntimeError("the round did not give away all that it may")


def _took_ms(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return (time.perf_counter() - began_s) * 1e3


def _spec(number: int, tenant: str, task_type: str, priority: int, created_ms: int) -> TaskSpec:
    return TaskSpec(
        id=f"task_{number:06d}",
        tenant=tenant,
        type=task_type,
        capabilities=(),
        labels=b"{}",
        asynchronous=True,
        priority=priority,
        timeout_ms=300_000,
        queue_timeout_ms=3_600_000,
        silence_timeout_ms=0,
        total_timeout_ms=86_400_000,
        result_ttl_ms=0,
        max_attempts=3,
        idempotent=False,
        created_ms=created_ms,
    )


def main() -> None:
    table = Table("a round of the scheduler, ms", *LINES)
    found = [[rounds(priorities) for _ in range(RUNS)] for priorities in LINES.values()]
    for name in found[0][0]:
        table.add_row(name, *(f"{median(run[name] for run in runs):.1f}" for runs in found))
    console = Console()
    console.print(
        f"{ROUTES} routes, {TENANTS} tenants waiting in each, {ROUND_LIMIT} tasks a round"
    )
    console.print(table)


if __name__ == "__main__":
    main()
