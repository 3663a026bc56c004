"""Who gets which slot in a round, and what wakes the scheduler."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.clock import Clock, SystemClock
from inferry.server.engine.committer import Committer
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.scheduler import ROUND_LIMIT, FreeSlots, Scheduler
from inferry.server.engine.signals import Signals
from inferry.server.engine.tasks import Engine
from inferry.server.errors import UnavailableError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.record import Load
from inferry.server.fleet.routing import Rule, rule_of
from inferry.server.queue.backlog import Backlog
from inferry.server.store import StoreError
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.record import Attempt, Status, TaskRecord
from inferry.server.task.steps import Rules
from tests.server.fleets import START_MS, HandClock, fleet_of, new_fleet, server
from tests.server.situations import SPEC

CAPABILITIES = [(), ("echo",), ("echo", "ocr"), ("ocr",), ("echo", "gpu")]
ROUTES = ["echo", "ocr", "echo\ngpu", "nothing"]


def spread(fleet: Fleet, count: int, route: str = "echo") -> Counter[str]:
    """Takes slots for tasks of a route, and counts them by the servers' names."""
    slots = FreeSlots(fleet, START_MS)
    taken = (slots.take(route) for _ in range(count))
    return Counter(one.removeprefix("srv_") for one in taken if one is not None)


def test_slots_are_taken_where_the_load_is_least() -> None:
    fleet, _ = fleet_of(server("a"), server("b"))
    fleet.reserve("srv_a", 4)
    assert spread(fleet, 6) == {"a": 1, "b": 5}


def test_what_waits_inside_a_server_counts_as_load() -> None:
    fleet, _ = fleet_of(server("a"), server("b"))
    fleet.observe("srv_a", Load(0, 0, 0, 5), "")
    assert spread(fleet, 5) == {"b": 5}


def test_a_degraded_server_comes_last() -> None:
    fleet, _ = fleet_of(server("a", slots=100), server("b", slots=2))
    fleet.observe("srv_a", None, "timeout")
    assert spread(fleet, 3) == {"b": 2, "a": 1}


def test_routes_share_the_slots_of_a_server() -> None:
    fleet, _ = fleet_of(server("a", "echo", "ocr", slots=3))
    slots = FreeSlots(fleet, START_MS)
    assert [slots.suit(route) for route in ("echo", "ocr", "asr")] == [True, True, False]
    assert [slots.take(route) for route in ("echo", "ocr", "asr")] == ["srv_a", "srv_a", None]
    assert [slots.take(route) for route in ("ocr", "echo")] == ["srv_a", None]
    assert not slots.suit("ocr")


@given(
    st.lists(
        st.tuples(st.sampled_from(CAPABILITIES), st.integers(1, 4), st.integers(0, 5)), max_size=5
    ),
    st.lists(st.sampled_from(ROUTES), max_size=30),
)
def test_no_slot_is_taken_twice_or_stays_free_while_it_suits(
    servers: list[tuple[tuple[str, ...], int, int]], routes: list[str]
) -> None:
    fleet, _ = fleet_of(
        *(server(str(n), *has, slots=slots) for n, (has, slots, _) in enumerate(servers))
    )
    for number, (_, _, active) in enumerate(servers):
        fleet.reserve(f"srv_{number}", active)
    slots = FreeSlots(fleet, START_MS)
    for route in routes:
        able = {member.record.id for member in fleet if rule_of(member, route) is Rule.ELIGIBLE}
        suits, taken = slots.suit(route), slots.take(route)
        assert suits is (taken is not None) is bool(able)
        assert taken is None or taken in able
        if taken is not None:
            fleet.reserve(taken, 1)


# The loop, over a real store in memory.


class Porter:
    """Stands where the dispatcher is, and lists what it is to carry."""

    def __init__(self) -> None:
        self.carried: list[TaskRecord] = []
        self.arrived = asyncio.Event()

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        self.carried.append(record)
        self.arrived.set()

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        pass

    def stop(self, task_id: str, closed: Attempt) -> None:
        pass

    def confirm(self, task_id: str, attempt: int) -> None:
        pass


class MoodyStore(SqliteStore):
    """Refuses commits while it is told to."""

    broken = False

    async def commit(self, operations):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        if self.broken:
            raise StoreError("no")
        return await super().commit(operations)


class Yard:
    """A queue with all that is around it, and no gateway."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = MoodyStore(":memory:")
        self.porter = Porter()
        fleet = new_fleet()
        backlog = Backlog(10_000, 10_000, self.clock, {})
        self.ledger = Ledger(fleet, backlog, Signals(), self.clock)
        self.ledger.carrier = self.porter
        self.engine = Engine(
            committer=Committer(self.store),
            ledger=self.ledger,
            clock=self.clock,
            rules=Rules(),
            random=Random(1),
        )
        self.scheduler = Scheduler(self.engine, self.ledger, self.clock)
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
            *(self.engine.create(spec, b"{}", not_before_ms, None) for spec in specs)
        ):
            assert isinstance(created, TaskRecord)

    def put(self, slots: int, name: str = "a") -> None:
        self.ledger.fleet.put(server(name, slots=slots))

    @property
    def carried(self) -> list[str]:
        return [record.spec.id for record in self.porter.carried]

    @property
    def active(self) -> int:
        return sum(member.active for member in self.ledger.fleet)


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


async def test_a_round_fills_the_slots_in_the_order_of_the_queue(yard: Yard) -> None:
    await yard.create(5)
    yard.put(slots=2)
    yard.put(slots=1, name="b")
    await yard.scheduler.run_once()
    assert sorted(yard.carried) == ["task_00000", "task_00001", "task_00002"]
    assert (yard.active, len(yard.ledger.backlog)) == (3, 2)
    await yard.scheduler.run_once()
    assert len(yard.carried) == 3


async def test_a_round_that_was_cut_off_is_followed_by_another(yard: Yard) -> None:
    await yard.create(ROUND_LIMIT + 1)
    yard.put(slots=1_000)
    yard.scheduler.start()
    while len(yard.carried) <= ROUND_LIMIT:
        await arrived(yard)
    assert yard.active == ROUND_LIMIT + 1


async def test_nothing_is_claimed_while_there_is_nobody_to_carry_it(yard: Yard) -> None:
    await yard.create()
    yard.put(slots=1)
    yard.ledger.carrier = None
    await yard.scheduler.run_once()
    assert (yard.carried, yard.active) == ([], 0)


async def test_a_task_that_was_cancelled_under_way_leaves_its_slot_to_the_next(yard: Yard) -> None:
    await yard.create(2)
    yard.put(slots=1)
    cancelling = asyncio.create_task(yard.engine.cancel("task_00000", None, ""))
    await asyncio.sleep(0)
    # Chosen now, but the cancel is written first.
    await yard.scheduler.run_once()
    await cancelling
    assert yard.carried == []
    assert yard.ledger.claimable.is_set()
    await yard.scheduler.run_once()
    assert (yard.carried, yard.active) == (["task_00001"], 1)


async def test_a_claim_that_cannot_be_written_gives_everything_back(yard: Yard) -> None:
    await yard.create(2)
    yard.put(slots=1)
    yard.store.broken = True
    with pytest.raises(UnavailableError):
        await yard.scheduler.run_once()
    assert (yard.active, len(yard.ledger.backlog)) == (0, 2)
    yard.store.broken = False
    await yard.scheduler.run_once()
    assert yard.carried == ["task_00000"]


async def test_it_wakes_when_a_server_comes_and_when_a_slot_becomes_free(yard: Yard) -> None:
    yard.scheduler.start()
    await yard.create(2)
    yard.put(slots=1)
    await arrived(yard)
    await yard.engine.cancel("task_00000", None, "")
    yard.ledger.release("srv_a", "task_00000", 1)
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
    assert yard.ledger.claimable.is_set()
    await yard.create()
    await yard.scheduler.run_once()
    assert yard.carried == ["task_00000"]
    record = await yard.store.task("task_00001")
    assert record is not None
    assert record.status is Status.PENDING
    assert record.waiting


async def test_a_new_task_does_not_wait_behind_those_that_no_server_can_take(yard: Yard) -> None:
    yard.ledger.fleet.put(server("a", "echo"))
    await yard.create(task_type="ocr")
    await yard.scheduler.run_once()
    await yard.create()
    assert yard.carried == ["task_00001"]
