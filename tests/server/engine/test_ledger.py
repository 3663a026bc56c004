"""What is in memory follows what is on disk."""

from collections.abc import Callable

import pytest

from inferry.server.engine.signals import Place
from inferry.server.errors import UnavailableError
from inferry.server.store.operations import Claimed, PauseType, PutServer, Replayed
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
from tests.server.books import Books
from tests.server.fleets import START_MS, HandClock, server
from tests.server.porters import IdlePorter
from tests.server.situations import RULES, SPEC
from tests.server.store.samples import dispatched, do, waiting

REFUSED = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)
LATER = Release("broken", AttemptOutcome.AMBIGUOUS, START_MS + 500)


class Porter(IdlePorter):
    """Stands where the dispatcher is, and lists what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.calls: set[str] = set()
        self.stopping: list[Callable[[], None]] = []

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        self.told.append(f"carry {record.spec.id}.{record.attempt}")

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        self.told.append(f"drop {record.spec.id}.{closed.number}")

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        self.told.append(f"stop {task_id}.{closed.number}")
        self.stopping.append(stopped)

    def confirm(self, task_id: str, attempt: int) -> None:
        self.told.append(f"confirm {task_id}.{attempt}")

    def adopt(self, record: TaskRecord) -> None:
        self.told.append(f"adopt {record.spec.id}.{record.attempt}")

    def carries(self, task_id: str, attempt: int) -> bool:
        return f"{task_id}.{attempt}" in self.calls


@pytest.fixture
def porter() -> Porter:
    return Porter()


@pytest.fixture
def books(porter: Porter) -> Books:
    books = Books(HandClock(), limit=10)
    books.fleet.put(server("a", slots=1))
    books.ledger.open(porter)
    books.fleet.claimable.clear()
    return books


def fresh(number: int = 1, not_before_ms: int = 0) -> TaskRecord:
    return create(SPEC._replace(id=f"task_{number}", created_ms=START_MS), not_before_ms)[0]


def step(record: TaskRecord, given: Input) -> Transition:
    return apply(record, given, START_MS, RULES)


def wait(books: Books, record: TaskRecord) -> TaskRecord:
    books.ledger.created_waiting(record)
    books.fleet.claimable.clear()
    return record


def run(books: Books, record: TaskRecord) -> TaskRecord:
    """Claims a task for the only server."""
    claimed = step(record, Claim("srv_a"))
    books.fleet.reserve("srv_a", 1)
    books.ledger.claimed([Claimed(claimed, b"{}")], "srv_a", [record.spec.id])
    books.fleet.claimable.clear()
    return claimed.record


def test_a_task_waits_that_was_added_and_no_other(books: Books) -> None:
    for result in (fresh(), Replayed(fresh(2)), UnavailableError("no")):
        books.ledger.created_waiting(result)
    assert len(books.backlog) == 1


def test_a_task_that_was_added_without_its_attempt_waits_and_its_slot_is_free(
    books: Books, porter: Porter
) -> None:
    claimed = step(fresh(), Claim("srv_a")).record
    books.ledger.take_slot(claimed)
    books.ledger.created_claimed(fresh(), claimed, b"{}")
    assert (books.active, len(books.backlog), porter.told) == (0, 1, [])
    assert books.looking


def test_a_claimed_task_has_a_slot_and_no_place(books: Books, porter: Porter) -> None:
    record = wait(books, fresh())
    assert books.queue.place_of(record) == Place(1, 0)
    record = run(books, record)
    assert (books.active, len(books.backlog), books.queue.place_of(record)) == (1, 0, None)
    assert porter.told == ["carry task_1.1"]


@pytest.mark.parametrize("failed", [True, False])
def test_a_claim_without_its_tasks_gives_the_slots_back(books: Books, failed: bool) -> None:
    wait(books, fresh())
    wait(books, fresh(2))
    given = books.allocator.allocate(START_MS, 1)["srv_a"]
    assert books.active == 1
    books.ledger.claimed(UnavailableError("no") if failed else [], "srv_a", given)
    books.backlog.ask()
    assert (books.active, len(books.backlog)) == (0, 2)
    # What became of one that was not found is looked up.
    assert books.backlog.window.missing == (0 if failed else 1)
    assert books.looking


@pytest.mark.parametrize("given", [Succeed(b"1"), REFUSED])
def test_the_end_of_an_attempt_frees_its_slot_for_those_that_wait(
    books: Books, given: Input
) -> None:
    record = run(books, wait(books, fresh()))
    wait(books, fresh(2))
    books.ledger.changed(step(record, given))
    assert books.active == 0
    assert books.looking


@pytest.mark.parametrize("given", [Cancel(), Expire("too slow")])
def test_a_stopped_attempt_keeps_its_slot_until_its_carrier_says_that_it_has_stopped(
    books: Books, porter: Porter, given: Input
) -> None:
    record = run(books, wait(books, fresh()))
    wait(books, fresh(2))
    books.ledger.changed(step(record, given))
    assert (books.active, porter.told[-2:]) == (1, ["drop task_1.1", "stop task_1.1"])
    assert not books.looking
    (stopped,) = porter.stopping
    stopped()
    assert books.active == 0
    assert books.looking


def test_a_refused_task_waits_again_at_its_old_place(books: Books) -> None:
    record = run(books, wait(books, fresh()))
    wait(books, fresh(2))
    refused = step(record, REFUSED)
    books.ledger.changed(refused)
    assert books.queue.place_of(refused.record) == Place(1, START_MS + 1_000)


def test_the_scheduler_learns_of_a_task_that_is_due_later(books: Books) -> None:
    record = run(books, wait(books, fresh()))
    books.ledger.changed(step(record, LATER))
    assert books.looking
    assert books.allocator.next_due_ms(START_MS) == START_MS + 500


def test_a_task_that_ends_while_it_waits_leaves_and_a_retry_brings_it_back(books: Books) -> None:
    record = wait(books, fresh())
    cancelled = step(record, Cancel())
    books.ledger.changed(cancelled)
    assert (len(books.backlog), books.looking) == (0, False)
    books.ledger.changed(step(cancelled.record, Retry()))
    assert (len(books.backlog), books.looking) == (1, True)


def test_progress_wakes_nobody(books: Books) -> None:
    record = run(books, wait(books, fresh()))
    wait(books, fresh(2))
    books.ledger.changed(step(record, Progress(50)))
    assert not books.looking


def test_a_new_task_gets_a_free_slot_unless_others_wait_for_it(books: Books) -> None:
    assert books.allocator.free_server(fresh(), START_MS) == "srv_a"
    assert books.allocator.free_server(fresh(1, START_MS + 1), START_MS) is None
    books.pauses.pause(PausedType("echo", "", START_MS))
    assert books.allocator.free_server(fresh(), START_MS) is None
    books.pauses.resume("echo")
    wait(books, fresh(2))
    assert books.allocator.free_server(fresh(), START_MS) is None


def test_a_closed_ledger_gives_nothing_away_and_has_nobody_told_to_stop(
    books: Books, porter: Porter
) -> None:
    record = run(books, wait(books, fresh()))
    books.fleet.put(server("b"))
    wait(books, fresh(2))
    books.ledger.close()
    assert books.allocator.free_server(fresh(3), START_MS) is None
    assert books.allocator.allocate(START_MS, 10) == {}
    books.ledger.changed(step(record, Cancel()))
    assert (books.active, porter.told) == (0, ["carry task_1.1"])


def test_who_waits_for_an_end_is_never_told_a_late_result_in_its_place(books: Books) -> None:
    record = run(books, wait(books, fresh()))
    ended = step(record, Expire("too slow", "TIMEOUT", b'{"phase":"run"}'))
    late = step(ended.record, Succeed(b"1"))
    with books.signals.listen(record.spec.id) as signal:
        books.ledger.changed(ended)
        assert (signal.record, signal.outcome) == (ended.record, ended.outcome)
        # Both were in one transaction: the waiter has not looked yet.
        books.ledger.changed(late)
        assert (signal.record, signal.outcome) == (late.record, None)


def test_a_paused_type_waits_and_has_no_place_until_it_is_resumed(books: Books) -> None:
    record = wait(books, fresh())
    paused = PausedType("echo", "a bad model", START_MS)
    before = books.pause_ledger.pause(paused)
    assert (books.queue.place_of(record), books.allocator.allocate(START_MS, 9)) == (None, {})
    books.pause_ledger.paused(None, paused, before)
    books.pause_ledger.resumed(UnavailableError("no"), "echo")
    assert (books.queue.place_of(record), books.looking) == (None, False)
    books.pause_ledger.resumed(None, "echo")
    assert (books.queue.place_of(record), books.looking) == (Place(1, 0), True)
    assert books.allocator.allocate(START_MS, 9) == {"srv_a": ["task_1"]}


def test_a_pause_that_is_not_on_disk_is_none(books: Books) -> None:
    wait(books, fresh())
    paused = PausedType("echo", "", START_MS)
    books.pause_ledger.paused(UnavailableError("no"), paused, books.pause_ledger.pause(paused))
    assert books.looking
    assert books.allocator.allocate(START_MS, 9) == {"srv_a": ["task_1"]}


async def test_a_start_takes_up_what_is_stored(books: Books) -> None:
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
    await books.ledger.load(store)
    await store.close()
    assert (len(books.backlog), books.backlog.window.missing) == (2, 2)
    assert "ocr" in books.pauses
    member = books.fleet.get("srv_b")
    assert member is not None
    assert member.holding == {("task_3", 1)}
