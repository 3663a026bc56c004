"""What waits: claims, delays, places."""

import pytest

from inferry.server.queue.backlog import Backlog
from inferry.server.queue.type_counts import TypeCount
from inferry.server.task.inputs import Claim
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import TaskRecord
from tests.server.fleets import START_MS, HandClock
from tests.server.situations import RULES, SPEC


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def backlog(clock: HandClock) -> Backlog:
    return Backlog(clock, {}, 100)


def record(
    number: int,
    tenant: str = "acme",
    *,
    task_type: str = "echo",
    not_before_ms: int = 0,
) -> TaskRecord:
    spec = SPEC._replace(
        id=f"task_{number:04d}", tenant=tenant, type=task_type, created_ms=START_MS + number
    )
    return create(spec, not_before_ms)[0]


def fill(backlog: Backlog, count: int, tenant: str = "acme", first: int = 0) -> list[TaskRecord]:
    records = [record(first + number, tenant) for number in range(count)]
    for one in records:
        backlog.enter(one)
    return records


def claim(backlog: Backlog, limit: int) -> list[str]:
    given = backlog.allocate(lambda _: True, lambda _: "srv_a", START_MS + 10_000, limit)
    return given.get("srv_a", [])


def position_of(backlog: Backlog, one: TaskRecord, now_ms: int) -> int | None:
    return next((place for _, place, _ in backlog.positions_of([one], now_ms)), None)


def leave(backlog: Backlog, task_id: str, *, started: bool) -> None:
    backlog.leave(SPEC._replace(id=task_id), started=started)


# Claims.


def test_a_task_that_is_being_claimed_is_not_given_away_again(backlog: Backlog) -> None:
    fill(backlog, 3)
    assert claim(backlog, 2) == ["task_0000", "task_0001"]
    assert claim(backlog, 9) == ["task_0002"]
    assert len(backlog) == 3


def test_a_failed_claim_puts_its_tasks_back_in_their_places(backlog: Backlog) -> None:
    fill(backlog, 3)
    backlog.end_claim(claim(backlog, 2), failed=True)
    assert claim(backlog, 9) == ["task_0000", "task_0001", "task_0002"]


def test_a_task_that_was_cancelled_while_it_was_claimed_does_not_come_back(
    backlog: Backlog,
) -> None:
    fill(backlog, 2)
    taken = claim(backlog, 2)
    leave(backlog, "task_0000", started=False)
    backlog.end_claim(taken, failed=True)
    assert claim(backlog, 9) == ["task_0001"]


def test_a_task_that_began_to_wait_again_while_it_was_claimed_is_there_once(
    backlog: Backlog,
) -> None:
    (one,) = fill(backlog, 1)
    taken = claim(backlog, 1)
    backlog.enter(one)
    backlog.end_claim(taken, failed=False)
    assert (len(backlog), claim(backlog, 9)) == (1, ["task_0000"])


def test_what_a_claim_did_not_find_is_asked_for_and_waits_until_somebody_says_that_it_does_not(
    backlog: Backlog,
) -> None:
    fill(backlog, 2)
    taken = claim(backlog, 2)
    leave(backlog, "task_0001", started=True)
    backlog.end_claim(taken, failed=False)
    backlog.ask()
    assert (len(backlog), backlog.window.missing, backlog.window.low) == (1, 1, True)
    leave(backlog, "task_0000", started=True)
    assert (len(backlog), backlog.window.missing) == (0, 0)


def test_what_another_gateway_got_is_not_asked_for_if_that_says_so_in_time(
    backlog: Backlog,
) -> None:
    records = fill(backlog, 3)
    backlog.end_claim(claim(backlog, 3), failed=False)
    assert (len(backlog), backlog.waits("echo")) == (0, False)
    backlog.ask(patient=True)
    backlog.hear(apply(records[0], Claim("srv_b"), START_MS, RULES).record, started=True)
    backlog.enter(records[1])
    backlog.ask(patient=True)
    assert (len(backlog), backlog.window.missing) == (2, 1)
    assert claim(backlog, 9) == ["task_0001"]


def test_what_is_found_again_while_it_is_doubtful_is_counted_once(backlog: Backlog) -> None:
    (one,) = fill(backlog, 1)
    backlog.end_claim(claim(backlog, 1), failed=False)
    backlog.hear(one, started=False)
    backlog.ask()
    assert (len(backlog), backlog.window.missing) == (1, 0)


def test_a_line_that_another_gateway_serves_does_not_age(
    backlog: Backlog, clock: HandClock
) -> None:
    def enter(number: int, tenant: str, priority: int) -> TaskRecord:
        spec = SPEC._replace(id=f"task_{number}", tenant=tenant, priority=priority)
        one, _ = create(spec._replace(created_ms=clock.ms), 0)
        backlog.enter(one)
        return one

    def next_one() -> list[str]:
        given = backlog.allocate(lambda _: True, lambda _: "srv_a", clock.ms, 1)
        return given.get("srv_a", [])

    first = enter(1, "acme", 0)
    enter(2, "acme", 0)
    clock.ms += 59_000
    backlog.hear(apply(first, Claim("srv_b"), clock.ms, RULES).record, started=True)
    clock.ms += 30_000
    enter(3, "globex", 1)
    # Passed over for 89 s in all, and for 30 s since its last turn.
    assert next_one() == ["task_3"]
    clock.ms += 60_000
    enter(4, "globex", 0)
    assert next_one() == ["task_2"]


# Delays.


def test_a_delayed_task_is_not_ready_before_its_time(backlog: Backlog) -> None:
    delayed = record(1, not_before_ms=START_MS + 500)
    backlog.enter(delayed)
    assert (backlog.ready, backlog.waits("echo"), backlog.next_due_ms()) == (
        False,
        False,
        START_MS + 500,
    )
    assert position_of(backlog, delayed, START_MS) is None
    backlog.wake(START_MS + 500)
    assert (backlog.ready, backlog.waits("echo"), backlog.next_due_ms()) == (True, True, None)
    assert position_of(backlog, delayed, START_MS + 500) == 1


def test_it_counts_by_type(backlog: Backlog) -> None:
    fill(backlog, 3)
    backlog.enter(record(3, not_before_ms=START_MS + 1))
    backlog.enter(record(4, task_type="ocr", not_before_ms=START_MS + 1))
    claim(backlog, 1)
    assert backlog.types() == {"echo": TypeCount(3, 1), "ocr": TypeCount(0, 1)}


# Places.


def test_a_place_comes_with_the_time_that_its_route_needs(
    backlog: Backlog, clock: HandClock
) -> None:
    waiting = fill(backlog, 30)
    assert backlog.eta_ms(waiting[29], 30) is None
    for second in range(10):
        clock.ms = START_MS + second * 1_000
        for task_id in claim(backlog, 2):
            leave(backlog, task_id, started=True)
    clock.ms = START_MS + 10_000
    position = position_of(backlog, waiting[29], clock.ms)
    assert position == 10
    assert backlog.eta_ms(waiting[29], position) == 5_000
    assert backlog.eta_ms(record(99, task_type="ocr"), 1) is None


def test_who_expires_does_not_count_as_a_start(backlog: Backlog) -> None:
    waiting = fill(backlog, 2)
    leave(backlog, "task_0000", started=False)
    assert backlog.eta_ms(waiting[1], 1) is None


def test_who_is_being_claimed_is_first_and_who_runs_has_no_place(backlog: Backlog) -> None:
    (one,) = fill(backlog, 1)
    claim(backlog, 1)
    assert position_of(backlog, one, START_MS) == 1
    assert position_of(backlog, one._replace(server_id="srv_a"), START_MS) is None
