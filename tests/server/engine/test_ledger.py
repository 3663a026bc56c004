"""What is in memory follows what is on disk."""

import pytest

from inferry.server.engine.ledger import Ledger
from inferry.server.engine.signals import Place, Signals
from inferry.server.errors import UnavailableError
from inferry.server.queue.backlog import Backlog
from inferry.server.store import Claimed, PauseType, PutServer, Replayed
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import (
    Cancel,
    Claim,
    Expire,
    Input,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.pause import PausedType
from inferry.server.task.record import Attempt, AttemptOutcome, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.fleets import START_MS, HandClock, new_fleet, server
from tests.server.situations import RULES, SPEC
from tests.server.store.samples import dispatched, do, waiting

REFUSED = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)
LATER = Release("broken", AttemptOutcome.AMBIGUOUS, START_MS + 500)


class Porter:
    """Stands where the dispatcher is, and lists what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        self.told.append(f"carry {record.spec.id}.{record.attempt}")

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        self.told.append(f"drop {record.spec.id}.{closed.number}")

    def stop(self, task_id: str, closed: Attempt) -> None:
        self.told.append(f"stop {task_id}.{closed.number}")

    def confirm(self, task_id: str, attempt: int) -> None:
        self.told.append(f"confirm {task_id}.{attempt}")


@pytest.fixture
def porter() -> Porter:
    return Porter()


@pytest.fixture
def ledger(porter: Porter) -> Ledger:
    clock = HandClock()
    ledger = Ledger(new_fleet(), Backlog(10, 10, clock, {}), Signals(), clock)
    ledger.fleet.put(server("a", slots=1))
    ledger.carrier = porter
    ledger.claimable.clear()
    return ledger


def fresh(number: int = 1, not_before_ms: int = 0) -> TaskRecord:
    return create(SPEC._replace(id=f"task_{number}", created_ms=START_MS), not_before_ms)[0]


def step(record: TaskRecord, given: Input) -> Transition:
    return apply(record, given, START_MS, RULES)


def wait(ledger: Ledger, record: TaskRecord) -> TaskRecord:
    ledger.backlog.expect(record.spec.tenant)
    ledger.created_waiting(record, record.spec.tenant)
    ledger.claimable.clear()
    return record


def run(ledger: Ledger, record: TaskRecord) -> TaskRecord:
    """Claims a task for the only server."""
    claimed = step(record, Claim("srv_a"))
    ledger.fleet.reserve("srv_a", 1)
    ledger.claimed([Claimed(claimed, b"{}")], "srv_a", [record.spec.id])
    ledger.claimable.clear()
    return claimed.record


def active(ledger: Ledger) -> int:
    return sum(member.active for member in ledger.fleet)


def test_room_that_was_kept_is_given_back_whatever_came_of_the_task(ledger: Ledger) -> None:
    for result in (fresh(), Replayed(fresh(2)), UnavailableError("no")):
        ledger.backlog.expect("acme")
        ledger.created_waiting(result, "acme")
    assert len(ledger.backlog) == 1
    assert not ledger.backlog._coming


def test_a_claimed_task_has_a_slot_and_no_place(ledger: Ledger, porter: Porter) -> None:
    record = wait(ledger, fresh())
    assert ledger.place_of(record) == Place(1, 0)
    record = run(ledger, record)
    assert (active(ledger), len(ledger.backlog), ledger.place_of(record)) == (1, 0, None)
    assert porter.told == ["carry task_1.1"]


@pytest.mark.parametrize("failed", [True, False])
def test_a_claim_without_its_tasks_gives_the_slots_back(ledger: Ledger, failed: bool) -> None:
    wait(ledger, fresh())
    wait(ledger, fresh(2))
    given = ledger.backlog.allocate(lambda _: True, lambda _: "srv_a", START_MS, 1)["srv_a"]
    ledger.fleet.reserve("srv_a", 1)
    ledger.claimed(UnavailableError("no") if failed else [], "srv_a", given)
    assert (active(ledger), len(ledger.backlog)) == (0, 2 if failed else 1)
    assert ledger.claimable.is_set()


@pytest.mark.parametrize("given", [Succeed(b"1"), REFUSED])
def test_the_end_of_an_attempt_frees_its_slot_for_those_that_wait(
    ledger: Ledger, given: Input
) -> None:
    record = run(ledger, wait(ledger, fresh()))
    wait(ledger, fresh(2))
    ledger.changed(step(record, given))
    assert active(ledger) == 0
    assert ledger.claimable.is_set()


@pytest.mark.parametrize("given", [Cancel(), Expire("too slow")])
def test_a_stopped_attempt_keeps_its_slot_until_its_carrier_gives_it_back(
    ledger: Ledger, porter: Porter, given: Input
) -> None:
    record = run(ledger, wait(ledger, fresh()))
    wait(ledger, fresh(2))
    ledger.changed(step(record, given))
    assert (active(ledger), porter.told[-1]) == (1, "drop task_1.1")
    assert not ledger.claimable.is_set()
    ledger.release("srv_a", "task_1", 1)
    assert active(ledger) == 0
    assert ledger.claimable.is_set()


def test_a_refused_task_waits_again_at_its_old_place(ledger: Ledger) -> None:
    record = run(ledger, wait(ledger, fresh()))
    wait(ledger, fresh(2))
    refused = step(record, REFUSED)
    ledger.changed(refused)
    assert ledger.place_of(refused.record) == Place(1, START_MS + 1_000)


def test_the_scheduler_learns_of_a_task_that_is_due_later(ledger: Ledger) -> None:
    record = run(ledger, wait(ledger, fresh()))
    ledger.changed(step(record, LATER))
    assert ledger.claimable.is_set()
    assert ledger.backlog.next_due_ms() == START_MS + 500


def test_a_task_that_ends_while_it_waits_leaves_and_a_retry_brings_it_back(ledger: Ledger) -> None:
    record = wait(ledger, fresh())
    cancelled = step(record, Cancel())
    ledger.changed(cancelled)
    assert (len(ledger.backlog), ledger.claimable.is_set()) == (0, False)
    ledger.changed(step(cancelled.record, Retry()))
    assert (len(ledger.backlog), ledger.claimable.is_set()) == (1, True)


def test_progress_wakes_nobody(ledger: Ledger) -> None:
    record = run(ledger, wait(ledger, fresh()))
    wait(ledger, fresh(2))
    ledger.changed(step(record, Progress(50)))
    assert not ledger.claimable.is_set()


def test_a_new_task_gets_a_free_slot_unless_others_wait_for_it(ledger: Ledger) -> None:
    assert ledger.free_server(fresh(), START_MS) == "srv_a"
    assert ledger.free_server(fresh(1, START_MS + 1), START_MS) is None
    ledger.backlog.pause(PausedType("echo", "", START_MS))
    assert ledger.free_server(fresh(), START_MS) is None
    ledger.backlog.resume("echo")
    wait(ledger, fresh(2))
    assert ledger.free_server(fresh(), START_MS) is None
    ledger.carrier = None
    assert ledger.free_server(fresh(), START_MS) is None


async def test_a_start_takes_up_what_is_stored(ledger: Ledger) -> None:
    store = SqliteStore(":memory:")
    await store.open()
    await do(
        store,
        PutServer(server("b")),
        PauseType(PausedType("ocr", "later", START_MS)),
        waiting("task_1"),
        waiting("task_2", not_before_ms=START_MS + 9),
        dispatched("task_3", server_id="srv_b"),
    )
    await ledger.load(store)
    await store.close()
    assert (len(ledger.backlog), ledger.backlog.next_due_ms()) == (2, START_MS + 9)
    assert ledger.backlog.paused("ocr")
    member = ledger.fleet.get("srv_b")
    assert member is not None
    assert member.holding == {("task_3", 1)}
