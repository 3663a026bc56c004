"""Who gets which slot in a round, and what wakes the scheduler."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest

from inferry.server.clock import Clock, SystemClock
from inferry.server.engine.committer import Committer
from inferry.server.engine.creator import Creator, NewTask
from inferry.server.engine.outlook import Outlook
from inferry.server.engine.scheduler import ROUND_LIMIT, Scheduler
from inferry.server.engine.tasks import Engine
from inferry.server.errors import NotOwnerError, UnavailableError
from inferry.server.store import StoreError
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.record import Attempt, Status, TaskRecord
from tests.server.books import Books
from tests.server.fleets import HandClock, server
from tests.server.porters import IdlePorter
from tests.server.rules import TASK_RULES
from tests.server.situations import SPEC


class Porter(IdlePorter):
    """Stands where the dispatcher is, and lists what it is to carry."""

    def __init__(self) -> None:
        self.carried: list[TaskRecord] = []
        self.stopping: list[Callable[[], None]] = []
        self.arrived = asyncio.Event()

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        self.carried.append(record)
        self.arrived.set()

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        pass

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        self.stopping.append(stopped)

    def confirm(self, task_id: str, attempt: int) -> None:
        pass

    def adopt(self, record: TaskRecord) -> None:
        pass

    def carries(self, task_id: str, attempt: int) -> bool:
        return False


class MoodyStore(SqliteStore):
    """Refuses commits while it is told to."""

    broken = False
    #: Whether another replica has all servers.
    robbed = False

    async def commit(self, operations):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        if self.broken:
            raise StoreError("no")
        if self.robbed:
            return [NotOwnerError("another replica has it") for _ in operations]
        return await super().commit(operations)


class Yard:
    """A queue with all that is around it, and no gateway."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = MoodyStore(":memory:")
        self.porter = Porter()
        self.books = Books(clock)
        self.ledger = self.books.ledger
        self.ledger.open(self.porter)
        committer = Committer(self.store)
        self.creator = Creator(
            committer=committer,
            ledger=self.ledger,
            allocator=self.books.allocator,
            rules=TASK_RULES,
        )
        self.engine = Engine(
            committer=committer,
            ledger=self.ledger,
            clock=self.clock,
            rules=TASK_RULES,
            random=Random(1),
            look=lambda: Outlook([], self.books.pauses.get),
        )
        self.scheduler = Scheduler(self.engine, self.books.allocator, self.clock)
        self.made = 0

    async def create(self, count: int = 1, not_before_ms: int = 0, task_type: str = "echo") -> None:
        specs = [
            SPEC._replace(
                id=f"task_{self.made + number:05d}", type=task_type, created_ms=self.clock.now_ms()
            )
            for number in range(count)
        ]
        self.made += count
        for created in await asyncio.gather(
            *(self.creator.create(NewTask(spec, b"{}", not_before_ms)) for spec in specs)
        ):
            assert isinstance(created, TaskRecord)

    def put(self, slots: int, name: str = "a") -> None:
        self.books.fleet.put(server(name, slots=slots))

    @property
    def carried(self) -> list[str]:
        return [record.spec.id for record in self.porter.carried]


@asynccontextmanager
async def opened(clock: Clock) -> AsyncIterator[Yard]:
    yard = Yard(clock)
    await yard.store.open()
    yield yard
    await yard.scheduler.stop()
    await yard.store.close()


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    async with opened(HandClock()) as yard:
        yield yard


async def arrived(yard: Yard) -> None:
    async with asyncio.timeout(10):
        await yard.porter.arrived.wait()
    yard.porter.arrived.clear()


async def test_a_server_that_changes_hands_does_not_hold_the_others_up(yard: Yard) -> None:
    fleet = yard.books.fleet
    fleet.epoch = 1
    await yard.create(4)
    fleet.put(replace(server("a", slots=1), owner=1))
    yard.store.robbed = True
    await yard.scheduler.run_once()
    yard.store.robbed = False
    fleet.put(replace(server("b", slots=2), owner=1))
    await yard.scheduler.run_once()
    assert yard.carried == ["task_00000", "task_00001"]
    assert {record.server_id for record in yard.porter.carried} == {"srv_b"}


async def test_a_round_fills_the_slots_in_the_order_of_the_queue(yard: Yard) -> None:
    await yard.create(5)
    yard.put(slots=2)
    yard.put(slots=1, name="b")
    await yard.scheduler.run_once()
    assert sorted(yard.carried) == ["task_00000", "task_00001", "task_00002"]
    assert (yard.books.active, len(yard.books.backlog)) == (3, 2)
    await yard.scheduler.run_once()
    assert len(yard.carried) == 3


async def test_a_round_that_was_cut_off_is_followed_by_another(yard: Yard) -> None:
    await yard.create(ROUND_LIMIT + 1)
    yard.put(slots=1_000)
    yard.scheduler.start()
    while len(yard.carried) <= ROUND_LIMIT:
        await arrived(yard)
    assert yard.books.active == ROUND_LIMIT + 1


async def test_nothing_is_claimed_while_there_is_nobody_to_carry_it(yard: Yard) -> None:
    await yard.create()
    yard.put(slots=1)
    yard.ledger.close()
    await yard.scheduler.run_once()
    assert (yard.carried, yard.books.active) == ([], 0)


async def test_a_task_that_was_cancelled_under_way_leaves_its_slot_to_the_next(yard: Yard) -> None:
    await yard.create(2)
    yard.put(slots=1)
    cancelling = asyncio.create_task(yard.engine.cancel("task_00000", None, ""))
    await asyncio.sleep(0)
    # Chosen now, but the cancel is written first.
    await yard.scheduler.run_once()
    await cancelling
    assert yard.carried == []
    assert yard.books.looking
    await yard.scheduler.run_once()
    assert (yard.carried, yard.books.active) == (["task_00001"], 1)


async def test_a_claim_that_cannot_be_written_gives_everything_back(yard: Yard) -> None:
    await yard.create(2)
    yard.put(slots=1)
    yard.store.broken = True
    with pytest.raises(UnavailableError):
        await yard.scheduler.run_once()
    assert (yard.books.active, len(yard.books.backlog)) == (0, 2)
    yard.store.broken = False
    await yard.scheduler.run_once()
    assert yard.carried == ["task_00000"]


async def test_it_wakes_when_a_server_comes_and_when_a_slot_becomes_free(yard: Yard) -> None:
    yard.scheduler.start()
    await yard.create(2)
    yard.put(slots=1)
    await arrived(yard)
    await yard.engine.cancel("task_00000", None, "")
    (stopped,) = yard.porter.stopping
    stopped()
    await arrived(yard)
    assert yard.carried == ["task_00000", "task_00001"]


async def test_it_wakes_when_a_delayed_task_is_due() -> None:
    async with opened(SystemClock()) as yard:
        yard.put(slots=1)
        yard.scheduler.start()
        due_ms = yard.clock.now_ms() + 200
        await yard.create(not_before_ms=due_ms)
        assert yard.carried == []
        await arrived(yard)
        (record,) = yard.porter.carried
        assert record.started_ms >= due_ms


async def test_a_new_task_waits_behind_those_that_a_free_slot_may_be_meant_for(yard: Yard) -> None:
    await yard.create(task_type="ocr")
    yard.put(slots=1)
    assert yard.books.looking
    await yard.create()
    await yard.scheduler.run_once()
    assert yard.carried == ["task_00000"]
    record = await yard.store.task("task_00001")
    assert record is not None
    assert record.status is Status.PENDING
    assert record.waiting


async def test_a_new_task_does_not_wait_behind_those_that_no_server_can_take(yard: Yard) -> None:
    yard.books.fleet.put(server("a", "echo"))
    await yard.create(task_type="ocr")
    await yard.scheduler.run_once()
    await yard.create()
    assert yard.carried == ["task_00001"]
