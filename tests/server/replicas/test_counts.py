"""What is counted of all that waits costs a replica a bounded share of its time."""

import asyncio

from inferry.server.engine.committer import Committer
from inferry.server.engine.refill import COUNT_SPACING, SHARED_COUNT_S, Refill
from inferry.server.queue.missing import Pair
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from tests.server.books import Books
from tests.server.fleets import HandClock

TOOK_S = 3.0


async def test_counts_that_take_long_are_read_more_seldom(postgres_url: str) -> None:
    loop = asyncio.get_running_loop()
    begun_s, ahead_s, took_s, counts = loop.time(), 0.0, 0.0, 0
    store = PostgresStore(PostgresOptions(postgres_url))
    ask = store.waiting_counts

    async def waiting_counts() -> dict[Pair, int]:
        nonlocal ahead_s, counts
        ahead_s += took_s
        counts += 1
        return await ask()

    store.waiting_counts = waiting_counts  # type: ignore[method-assign]  # it takes so long
    loop.time = lambda: begun_s + ahead_s  # type: ignore[method-assign]  # and time is ours
    await store.open()
    try:
        books = Books(HandClock())
        refill = Refill(
            store=store,
            backlog=books.backlog,
            allocator=books.allocator,
            committer=Committer(store),
        )
        counted: list[int] = []
        steps = [
            (0.0, SHARED_COUNT_S / 2),
            (0.0, SHARED_COUNT_S / 2),
            (TOOK_S, (COUNT_SPACING - 1) * TOOK_S - SHARED_COUNT_S),
            (0.0, SHARED_COUNT_S),
            (0.0, 0.0),
        ]
        for step in steps:
            took_s, passes_s = step
            await refill.run_once()
            counted.append(counts)
            ahead_s += passes_s
        assert counted == [1, 1, 2, 2, 3]
    finally:
        del loop.time
        await store.close()
