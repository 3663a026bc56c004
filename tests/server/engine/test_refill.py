"""The window of waiting tasks is filled from the store in fair shares, and nobody starves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import pytest

from inferry.server.clock import Clock
from inferry.server.engine import refill as refills
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.committer import Committer
from inferry.server.engine.refill import Refill
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.fair_queue import Waiting
from inferry.server.queue.pauses import PausedTypes
from inferry.server.replica.tenure import Tenure
from inferry.server.store import LineRead
from inferry.server.store.operations import Insert, Operation, Result
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Cancel
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from tests.server.fleets import START_MS, HandClock, new_fleet, server
from tests.server.store.samples import change, claim, waiting

#: The settings say how often; here each run is a look.
ALWAYS = 0.0


class Hall:
    """A store, a window on it, and a server for some types."""

    def __init__(self, clock: Clock, size: int, store: SqliteStore) -> None:
        self.store = store
        self.fleet = new_fleet()
        self.pauses = PausedTypes()
        self.backlog = Backlog(clock, {}, size)
        self.allocator = Allocator(self.fleet, self.backlog, self.pauses, Tenure())
        self.committer = Committer(store)
        self.refill = Refill(
            store=store, backlog=self.backlog, allocator=self.allocator, committer=self.committer
        )
        self.allocator.open()
        self._numbers = count()

    def serve(self, *types: str) -> None:
        for name in types:
            self.fleet.put(server(name, name, slots=10_000))

    def task(self, tenant: str = "acme", task_type: str = "echo", **spec: Any) -> Insert:
        number = next(self._numbers)
        given = {"created_ms": START_MS + number, **spec}
        return waiting(f"task_{number:05d}", tenant=tenant, type=task_type, **given)

    async def put(self, *operations: Operation) -> None:
        """Commits, and lets memory know nothing of it."""
        await self.store.commit(operations)

    async def begin(self) -> None:
        """Begins as a gateway does that starts."""
        self.backlog.expect(await self.store.waiting_counts())
        await self.refill.run_once()

    async def enter(self, *inserts: Insert) -> None:
        """Commits, and lets memory know."""
        await self.put(*inserts)
        for insert in inserts:
            self.backlog.enter(insert.record)

    async def take(self, limit: int) -> list[TaskRecord]:
        """Gives tasks to servers, as the scheduler does."""
        now_ms = START_MS + 10**6
        taken: list[TaskRecord] = []
        for server_id, ids in self.allocator.allocate(now_ms, limit).items():
            results = await self.store.commit([claim(*ids, now_ms=now_ms, server_id=server_id)])
            assert isinstance(results[0], list)
            for claimed in results[0]:
                record = claimed.transition.record
                taken.append(record)
                self.backlog.leave(record.spec, started=True)
            self.backlog.end_claim(ids, failed=False)
            self.fleet.reserve(server_id, -len(ids))
        return taken

    @property
    def held(self) -> dict[tuple[str, str], int]:
        """Counts what is in memory, by tenant and route."""
        held = Counter[tuple[str, str]]()
        for (route, tenant, _), number in self.backlog.held.items():
            held[tenant, route] += number
        return dict(held)


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = SqliteStore(":memory:")
    await store.open()
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def _looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refills, "LOOK_S", ALWAYS)


@pytest.fixture
def new_hall(store: SqliteStore) -> partial[Hall]:
    return partial(Hall, HandClock(), store=store)


async def test_a_start_reads_no_more_than_the_window(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=16)
    hall.serve("echo")
    await hall.put(*(hall.task() for _ in range(100)))
    await hall.begin()
    assert (hall.held, len(hall.backlog)) == ({("acme", "echo"): 14}, 100)


async def test_all_that_fits_is_read_however_the_shares_would_be(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=16)
    await hall.put(
        *(hall.task() for _ in range(14)), hall.task("globex"), hall.task(task_type="ocr")
    )
    await hall.begin()
    assert (sum(hall.held.values()), hall.backlog.window.missing) == (16, 0)


async def test_a_start_reads_many_lines_at_once(
    new_hall: partial[Hall], store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[int] = []
    read = store.waiting_tasks

    async def count_lines(reads: Sequence[LineRead]) -> list[list[Waiting]]:
        lines.append(len(reads))
        return await read(reads)

    monkeypatch.setattr(store, "waiting_tasks", count_lines)
    hall = new_hall(size=1_000)
    hall.serve("echo")
    await hall.put(*(hall.task(f"tenant-{number}") for number in range(130)))
    await hall.begin()
    assert (lines, len(hall.held)) == ([64, 64, 2], 130)


async def test_everything_is_given_away_in_the_order_of_its_line(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=8)
    hall.serve("echo")
    inserts = [hall.task(priority=n % 3) for n in range(60)]
    await hall.put(*inserts[:30])
    await hall.begin()
    await hall.enter(*inserts[30:])
    given: list[TaskRecord] = []
    while taken := await hall.take(3):
        given += taken
        await hall.refill.run_once()
    assert len(given) == 60
    for priority in range(3):
        mine = [record.spec.id for record in given if record.spec.priority == priority]
        assert mine == sorted(mine)
    assert (len(hall.backlog), hall.backlog.window.missing) == (0, 0)


async def test_types_and_tenants_have_fair_shares(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=64)
    hall.serve("echo", "ocr")
    await hall.put(
        *(hall.task("acme") for _ in range(100)),
        *(hall.task("globex") for _ in range(100)),
        *(hall.task("acme", "ocr") for _ in range(100)),
    )
    await hall.begin()
    assert hall.held == {("acme", "echo"): 14, ("globex", "echo"): 14, ("acme", "ocr"): 28}


async def test_who_comes_to_a_full_window_gets_a_share_of_it(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=16)
    hall.serve("echo", "ocr")
    await hall.enter(*(hall.task() for _ in range(16)))
    late = hall.task("globex", "ocr")
    await hall.enter(late)
    assert hall.held == {("acme", "echo"): 16}
    await hall.refill.run_once()
    assert hall.held == {("acme", "echo"): 7, ("globex", "ocr"): 1}
    (taken,) = [record for record in await hall.take(2) if record.spec.type == "ocr"]
    assert taken.spec.id == late.record.spec.id


@pytest.mark.parametrize("why", ["no server", "offline", "paused"])
async def test_what_no_server_takes_does_not_crowd_out_the_others(
    new_hall: partial[Hall], why: str
) -> None:
    hall = new_hall(size=64)
    hall.serve("echo")
    if why == "offline":
        hall.serve("lost")
        for _ in range(3):
            hall.fleet.observe("srv_lost", None, "no answer")
    if why == "paused":
        hall.serve("lost")
        hall.pauses.pause(PausedType("lost", "", START_MS))
    await hall.put(
        *(hall.task("acme", "lost") for _ in range(100)), *(hall.task() for _ in range(100))
    )
    await hall.begin()
    assert hall.held == {("acme", "lost"): 3, ("acme", "echo"): 53}
    hall.serve("more")
    hall.fleet.put(server("any", slots=1))
    hall.pauses.resume("lost")
    await hall.refill.run_once()
    assert hall.held[("acme", "lost")] == 28


async def test_each_of_more_lines_than_the_window_is_there_again_and_again(
    new_hall: partial[Hall],
) -> None:
    """Within so many looks, a quarter of the window each, as there are lines."""
    hall = new_hall(size=8)
    hall.serve("echo")
    tenants = {f"tenant_{n:02d}" for n in range(40)}
    await hall.put(*(hall.task(tenant) for tenant in sorted(tenants) for _ in range(2)))
    await hall.begin()
    seen = {tenant for tenant, _ in hall.held}
    assert len(seen) == 7
    for _ in range(40):
        await hall.refill.run_once()
        seen |= {tenant for tenant, _ in hall.held}
        assert sum(hall.held.values()) <= 8
    assert seen == tenants


@pytest.mark.parametrize("size", [1, 2, 3, 8])
async def test_nobody_starves_though_nearly_all_are_outside_and_servers_are_slow(
    new_hall: partial[Hall], size: int
) -> None:
    """A task leaves at each tenth look: no line waits for more than a round of them all."""
    hall = new_hall(size=size)
    hall.serve("echo")
    tenants = [f"tenant_{n:02d}" for n in range(12)]
    await hall.put(*(hall.task(tenant) for tenant in tenants for _ in range(50)))
    await hall.begin()
    got = Counter[str]()
    for _ in range(60):
        for _ in range(10):
            await hall.refill.run_once()
        got.update(record.spec.tenant for record in await hall.take(1))
    assert set(got) == set(tenants)
    assert got.total() == 60


async def test_each_of_more_routes_than_the_window_is_there_again_and_again(
    new_hall: partial[Hall],
) -> None:
    hall = new_hall(size=4)
    types = {f"type_{n:02d}" for n in range(12)}
    hall.serve(*types)
    await hall.put(*(hall.task(task_type=name) for name in sorted(types)))
    await hall.begin()
    seen = {route for _, route in hall.held}
    for _ in range(12):
        await hall.refill.run_once()
        seen |= {route for _, route in hall.held}
    assert seen == types


async def test_a_place_outside_of_the_window_is_told_as_a_bound(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=16)
    hall.serve("echo")
    inserts = [hall.task() for _ in range(40)]
    await hall.put(*inserts)
    await hall.begin()
    records = [inserts[place].record for place in (0, 6, 7, 13, 30)]
    told = [(place, exact) for _, place, exact in hall.backlog.positions_of(records, START_MS)]
    assert told == [(1, True), (7, True), (8, False), (14, False), (15, False)]


async def test_what_was_cancelled_outside_of_the_window_is_counted_no_more(
    new_hall: partial[Hall],
) -> None:
    hall = new_hall(size=4)
    inserts = [hall.task() for _ in range(10)]
    await hall.enter(*inserts)
    last = inserts[-1].record.spec
    await hall.put(change(last.id, Cancel()))
    hall.backlog.leave(last, started=False)
    assert (len(hall.backlog), hall.backlog.window.missing) == (9, 5)
    await hall.refill.run_once()
    assert len(hall.backlog) == 9


async def test_delayed_tasks_wait_in_their_lines_and_are_known_when_they_are_due(
    new_hall: partial[Hall],
) -> None:
    hall = new_hall(size=4)
    hall.serve("echo")
    due_ms = [START_MS + 10**6 + n for n in range(10)]
    for at_ms in due_ms:
        number = next(hall._numbers)
        await hall.put(waiting(f"task_{number:05d}", at_ms))
    await hall.begin()
    assert hall.backlog.next_due_ms() == due_ms[0]
    given: list[str] = []
    for _ in range(30):
        hall.backlog.wake(due_ms[-1])
        given += [record.spec.id for record in await hall.take(1)]
        await hall.refill.run_once()
    # The hands of the clock stand at the first: the others are not claimed before their time.
    assert given == ["task_00000"]


async def test_places_are_exact_again_when_nothing_is_outside(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=4)
    inserts = [hall.task() for _ in range(6)]
    await hall.enter(*inserts)
    await hall.refill.run_once()
    for insert in inserts[:3]:
        hall.backlog.leave(insert.record.spec, started=False)
        await hall.put(change(insert.record.spec.id, Cancel()))
    await hall.refill.run_once()
    await hall.refill.run_once()
    records = [insert.record for insert in inserts[3:]]
    told = [(place, exact) for _, place, exact in hall.backlog.positions_of(records, START_MS)]
    assert told == [(1, True), (2, True), (3, True)]


class ReadInBetween(SqliteStore):
    """A store whose commits are read when they are on disk, and before anybody is told."""

    refill: Refill

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        results = await super().commit(operations)
        self.reading = asyncio.create_task(self.refill.run_once())
        # As far as it gets.
        for _ in range(100):
            await asyncio.sleep(0)
        return results


async def test_what_is_read_before_memory_hears_of_it_counts_once() -> None:
    store = ReadInBetween(":memory:")
    await store.open()
    hall = Hall(HandClock(), 16, store)
    hall.serve("echo")
    await SqliteStore.commit(store, [hall.task(priority=5) for _ in range(4)])
    hall.backlog.expect(await store.waiting_counts())
    store.refill = hall.refill
    await hall.committer.do(hall.task(priority=0), hall.backlog.enter)
    await store.reading
    assert (len(hall.backlog), sum(hall.held.values())) == (5, 5)
    assert not hall.backlog.window.missed.drifted
    await store.close()


async def test_a_line_of_which_others_took_the_rest_is_read_no_further(
    new_hall: partial[Hall], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refills, "READ_LIMIT", 4)
    hall = new_hall(size=16)
    hall.serve("echo")
    inserts = [hall.task() for _ in range(100)]
    await hall.put(*inserts)
    load, read = hall.backlog.load, hall.store.waiting_tasks
    firsts: list[Any] = []

    def load_while_others_take_the_rest(*given: Any) -> None:
        load(*given)
        for insert in inserts[4:]:
            hall.backlog.leave(insert.record.spec, started=True)
        hall.backlog.enter(hall.task().record)

    async def read_and_note(*given: Any) -> Any:
        firsts.extend(one.first for one in given[0])
        return await read(*given)

    monkeypatch.setattr(hall.backlog, "load", load_while_others_take_the_rest)
    monkeypatch.setattr(hall.store, "waiting_tasks", read_and_note)
    await hall.begin()
    assert (firsts, hall.held, hall.backlog.window.missing) == ([None], {("acme", "echo"): 5}, 0)


async def test_a_queue_in_memory_that_lost_count_begins_anew(new_hall: partial[Hall]) -> None:
    hall = new_hall(size=16)
    await hall.enter(hall.task(), hall.task())
    await hall.put(hall.task())
    await hall.refill.run_once()
    assert (len(hall.backlog), hall.backlog.window.missing) == (3, 0)
