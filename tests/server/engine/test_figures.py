"""Figures reach the store once, whatever becomes of a commit."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from inferry.server.engine.committer import Committer
from inferry.server.engine.company import Company
from inferry.server.engine.figures.bookkeeper import Bookkeeper
from inferry.server.engine.figures.tally import SECONDS_KEPT, Tally
from inferry.server.errors import UnavailableError
from inferry.server.figures.cell import ALL
from inferry.server.store import StoreError
from inferry.server.store.counting import AddFigures
from inferry.server.store.operations import Operation, Result
from inferry.server.store.sqlite.store import SqliteStore
from tests.server.situations import CREATED_MS
from tests.server.store.opening import opened
from tests.server.store.samples import dispatched, do, waiting

MINUTE = CREATED_MS // 60_000 * 60


class HandClock:
    def __init__(self) -> None:
        self.at_ms = CREATED_MS

    def now_ms(self) -> int:
        return self.at_ms


class NoQueue:
    """A queue in which nothing waits."""

    def counts(self) -> dict[str, Any]:
        return {}


class Uncertain:
    """A store whose commits of figures fail when told: before or after they are there."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.fails_before = self.fails_after = self.fails_reads = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        if self.fails_before:
            raise StoreError("before")
        results = await self._store.commit(operations)
        if self.fails_after:
            raise StoreError("after")
        return results

    async def running_counts(self) -> Any:
        if self.fails_reads:
            raise StoreError("away")
        return await self._store.running_counts()


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with opened(":memory:") as store:
        yield store


@pytest.fixture
def uncertain(store: SqliteStore) -> Uncertain:
    return Uncertain(store)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def tally(store: SqliteStore, clock: HandClock) -> Tally:
    tally = Tally(clock.now_ms() // 1_000)
    store.listener = tally.take
    return tally


@pytest.fixture
def bookkeeper(uncertain: Any, clock: HandClock, tally: Tally) -> Bookkeeper:
    queue: Any = NoQueue()
    return Bookkeeper(
        tally=tally,
        store=uncertain,
        committer=Committer(uncertain),
        queue=queue,
        company=Company(),
        clock=clock,
    )


async def created(store: SqliteStore) -> int:
    return sum(cell.created for _, cell in await store.figures(60, "echo", 0, 2 * MINUTE))


@pytest.mark.parametrize("fault", ["fails_before", "fails_after"])
async def test_what_a_failed_commit_may_have_brought_is_counted_once(
    store: SqliteStore, uncertain: Uncertain, bookkeeper: Bookkeeper, fault: str
) -> None:
    await do(store, waiting("task_1"), waiting("task_2"))
    setattr(uncertain, fault, True)
    with pytest.raises(UnavailableError):
        await bookkeeper.write()
    setattr(uncertain, fault, False)
    await do(store, waiting("task_3"))
    for _ in range(3):
        await bookkeeper.write()
    assert await created(store) == 3


async def test_a_store_that_cannot_be_asked_costs_no_look(
    store: SqliteStore, uncertain: Uncertain, bookkeeper: Bookkeeper, tally: Tally
) -> None:
    await do(store, dispatched("task_1"))
    uncertain.fails_reads = True
    with pytest.raises(UnavailableError, match="away"):
        await bookkeeper.run_once()
    uncertain.fails_reads = False
    await bookkeeper.run_once()
    assert tally.looked[ALL] == (0, 1)


async def test_nothing_is_written_while_nothing_happens_but_once_a_minute(
    store: SqliteStore, bookkeeper: Bookkeeper, clock: HandClock
) -> None:
    written: list[AddFigures] = []
    commit = store.commit

    async def noted(operations: Sequence[Operation]) -> list[Result]:
        written.extend(one for one in operations if isinstance(one, AddFigures))
        return await commit(operations)

    store.commit = noted  # type: ignore[method-assign]
    for _ in range(180):
        await bookkeeper.run_once()
        clock.at_ms += 1_000
    assert 3 <= len(written) <= 4


async def test_what_runs_no_more_is_told_as_none(
    store: SqliteStore, bookkeeper: Bookkeeper, tally: Tally
) -> None:
    tally.look(MINUTE, {"echo": (3, 1)})
    tally.look(MINUTE + 1, {})
    assert tally.looked == {ALL: (0, 0), "echo": (0, 0)}
    await bookkeeper.write()
    ((_, cell),) = await store.figures(60, "echo", MINUTE, MINUTE + 60)
    assert (cell.sampled_s, cell.waiting, cell.running) == (MINUTE + 1, 0, 0)


async def test_seconds_are_let_go_of_when_they_are_too_long_ago(
    store: SqliteStore, bookkeeper: Bookkeeper, tally: Tally, clock: HandClock
) -> None:
    await do(store, waiting("task_1"))
    await bookkeeper.run_once()
    assert tally.seconds
    clock.at_ms += 1_000 * (SECONDS_KEPT + 1)
    await bookkeeper.run_once()
    assert not tally.seconds
    assert [*tally.looks] == [clock.at_ms // 1_000]


async def test_what_another_start_left_is_counted_in_pages(
    store: SqliteStore, bookkeeper: Bookkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = store.epoch.number
    await do(store, *(waiting(f"task_{n}") for n in range(7)))
    monkeypatch.setattr("inferry.server.engine.figures.bookkeeper._PAGE", 3)
    # As the next start finds it.
    store.epoch = store.epoch._replace(number=number + 1)
    await bookkeeper._recount()
    await bookkeeper._recount()
    assert await created(store) == 7
    assert await store.uncounted() == []
