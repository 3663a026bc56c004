"""When deadlines are noticed, and how little it takes to wait for them: in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random

import pytest

from inferry.server.clock import SLEW, SteadyClock
from inferry.server.engine.committer import Committer
from inferry.server.engine.company import Company
from inferry.server.engine.creator import Creator, NewTask
from inferry.server.engine.outlook import Outlook
from inferry.server.engine.sweeper import STEP_LIMIT, Sweeper
from inferry.server.engine.tasks import Engine
from inferry.server.errors import UnavailableError
from inferry.server.store import StoreError
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.record import Status
from tests.server.books import Books
from tests.server.fleets import START_MS
from tests.server.rules import TASK_RULES
from tests.server.situations import SPEC
from tests.simulation.loop import SimulatedLoop

#: What a look each so often would find.
LATE_MS = 250
HOUR_MS = 3_600_000


class CountingStore(SqliteStore):
    """Counts the looks for deadlines; cannot write while it is told so."""

    looks = 0
    broken = False

    async def expired(self, now_ms: int, limit: int) -> list[str]:
        self.looks += 1
        return await super().expired(now_ms, limit)

    async def commit(self, operations):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        if self.broken:
            raise StoreError("no")
        return await super().commit(operations)


class Wall:
    """The wall clock of a loop's virtual time, set by hand."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.by_ms = 0

    def now_ms(self) -> int:
        return START_MS + self.by_ms + int(self._loop.time() * 1_000)


class Clockwork:
    """A sweeper with all that it needs, on a loop whose time is virtual."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.wall = Wall(loop)
        self.clock = SteadyClock(
            lambda _by_ms, _ahead_ms: None, self.wall, lambda: int(loop.time() * 1_000_000_000)
        )
        self.store = CountingStore(":memory:")
        books = Books(self.clock)
        committer = Committer(self.store)
        self.creator = Creator(
            committer=committer, ledger=books.ledger, allocator=books.allocator, rules=TASK_RULES
        )
        self.engine = Engine(
            committer=committer,
            ledger=books.ledger,
            clock=self.clock,
            rules=TASK_RULES,
            random=Random(1),
            look=lambda: Outlook([], books.pauses.get),
        )
        self.sweeper = Sweeper(
            engine=self.engine,
            store=self.store,
            alarm=books.alarm,
            clock=self.clock,
            company=Company(),
            restart_grace_ms=15_000,
            purge_interval_ms=60_000,
            tombstone_ms=HOUR_MS,
        )
        self.made = 0

    async def create(self, queue_timeout_ms: int) -> str:
        self.made += 1
        spec = SPEC._replace(
            id=f"task_{self.made}",
            queue_timeout_ms=queue_timeout_ms,
            created_ms=self.clock.now_ms(),
        )
        await self.creator.create(NewTask(spec, b"{}"))
        return spec.id

    async def late_ms(self, task_id: str) -> int:
        """Tells how late the end of a task's queue wait was noticed."""
        record = await self.store.task(task_id)
        assert record is not None
        assert record.status is Status.TIMEOUT
        return record.finished_ms - record.queue_deadline_ms


Play = Callable[[Callable[[Clockwork], Awaitable[None]]], None]


@pytest.fixture
def play() -> Iterator[Play]:
    """Plays a scene in virtual time."""
    loop = SimulatedLoop()

    def run(scene: Callable[[Clockwork], Awaitable[None]]) -> None:
        async def whole() -> None:
            clockwork = Clockwork(loop)
            await clockwork.store.open()
            try:
                await scene(clockwork)
            finally:
                await clockwork.sweeper.stop()
                await clockwork.store.close()

        loop.run_until_complete(whole())

    yield run
    loop.close()


def test_an_idle_gateway_looks_no_more_often_than_it_purges(play: Play) -> None:
    async def scene(clockwork: Clockwork) -> None:
        clockwork.sweeper.start()
        await asyncio.sleep(3_600)
        assert clockwork.store.looks <= 61

    play(scene)


def test_a_deadline_that_is_far_off_costs_few_looks(play: Play) -> None:
    async def scene(clockwork: Clockwork) -> None:
        clockwork.sweeper.start()
        await asyncio.sleep(1)
        task_id = await clockwork.create(3_000_000)
        await asyncio.sleep(3_010)
        assert 0 <= await clockwork.late_ms(task_id) <= LATE_MS
        assert clockwork.store.looks <= 60

    play(scene)


@pytest.mark.parametrize("seed", range(20))
def test_no_deadline_is_noticed_later_than_a_look_each_quarter_of_a_second_would(
    play: Play, seed: int
) -> None:
    random = Random(seed)

    async def scene(clockwork: Clockwork) -> None:
        clockwork.sweeper.start()
        made = []
        for _ in range(random.choice((3, 30, 300))):
            await asyncio.sleep(random.choice((0.0, 0.01, 1.0, 20.0)) * random.random())
            made.append(await clockwork.create(random.choice((1, 50, 1_000, 30_000, 300_000))))
            if random.random() < 0.1:
                clockwork.wall.by_ms += random.randint(-HOUR_MS, HOUR_MS)
            if random.random() < 0.2:
                await clockwork.engine.cancel(made.pop(), None, "")
        await asyncio.sleep(310 * (1 + 2 / SLEW))
        late = [await clockwork.late_ms(task_id) for task_id in made]
        assert all(0 <= ms <= LATE_MS for ms in late), late

    play(scene)


def test_what_runs_out_together_is_ended_in_steps_that_follow_at_once(play: Play) -> None:
    async def scene(clockwork: Clockwork) -> None:
        made = [await clockwork.create(20_000) for _ in range(2 * STEP_LIMIT + 1)]
        clockwork.sweeper.start()
        await asyncio.sleep(20 + 3 * LATE_MS / 1_000)
        late = [await clockwork.late_ms(task_id) for task_id in made]
        assert max(late) <= 3 * LATE_MS

    play(scene)


def test_deadlines_of_before_the_start_are_put_off_once_even_if_the_disk_comes_back_late(
    play: Play,
) -> None:
    async def scene(clockwork: Clockwork) -> None:
        before = await clockwork.create(10)
        await asyncio.sleep(60)
        clockwork.store.broken = True
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await clockwork.sweeper.run_once()
        clockwork.store.broken = False
        clockwork.sweeper.start()
        await asyncio.sleep(1)
        after = await clockwork.create(10)
        await asyncio.sleep(13)
        assert await clockwork.late_ms(after) <= LATE_MS
        record = await clockwork.store.task(before)
        assert record is not None
        assert record.waiting
        await asyncio.sleep(2)
        assert await clockwork.late_ms(before) <= LATE_MS

    play(scene)


def test_while_no_task_is_open_time_catches_up_with_the_wall(play: Play) -> None:
    async def scene(clockwork: Clockwork) -> None:
        clockwork.sweeper.start()
        held = await clockwork.create(100_000)
        clockwork.wall.by_ms += HOUR_MS
        await asyncio.sleep(90)
        assert clockwork.clock.now_ms() < START_MS + 91_000
        await clockwork.engine.cancel(held, None, "")
        await asyncio.sleep(120)
        assert clockwork.clock.now_ms() >= START_MS + HOUR_MS

    play(scene)
