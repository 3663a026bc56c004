"""The gateway's queue: limits, claims, pauses, places."""

import pytest

from inferry.server.errors import QueueFullError
from inferry.server.queue.backlog import Backlog, TypeCount
from inferry.server.task.lifecycle import create
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from tests.server.fleets import START_MS, HandClock
from tests.server.situations import SPEC


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def backlog(clock: HandClock) -> Backlog:
    return Backlog(100, 40, clock, {})


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
    return {found.spec.id: place for found, place in backlog.positions_of([one], now_ms)}.get(
        one.spec.id
    )


def retry_after(backlog: Backlog, tenant: str = "acme") -> float | None:
    with pytest.raises(QueueFullError) as caught:
        backlog.check(tenant)
    return caught.value.retry_after_s


# Limits.


def test_it_is_full_for_a_tenant_and_in_all(backlog: Backlog) -> None:
    fill(backlog, 40)
    with pytest.raises(QueueFullError, match=r"40 tasks of yours wait, the limit is 40"):
        backlog.check("acme")
    backlog.check("globex")
    fill(backlog, 40, "globex", 40)
    fill(backlog, 20, "initech", 80)
    with pytest.raises(QueueFullError, match=r"100 tasks wait, the limit is 100"):
        backlog.check("hooli")


def test_tasks_that_are_being_created_or_claimed_count(backlog: Backlog) -> None:
    fill(backlog, 30)
    fill(backlog, 30, "globex", 30)
    for tenant in ("acme", "globex"):
        backlog.expect(tenant, 10)
        with pytest.raises(QueueFullError, match="40 tasks of yours"):
            backlog.check(tenant)
    claim(backlog, 60)
    backlog.expect("hooli", 20)
    with pytest.raises(QueueFullError, match="100 tasks wait"):
        backlog.check("initech")
    backlog.expect("hooli", -20)
    backlog.check("initech")


def test_a_refused_creator_is_told_when_a_tenth_of_the_limit_has_drained(
    backlog: Backlog, clock: HandClock
) -> None:
    fill(backlog, 60)
    assert retry_after(backlog) == 60
    for second in range(20):
        clock.ms = START_MS + second * 1_000
        for task_id in claim(backlog, 1):
            backlog.leave(task_id, started=True)
    # One a second: four of a limit of 40 take four seconds.
    clock.ms = START_MS + 20_000
    assert retry_after(backlog) == 4
    assert backlog.left_last_minute == 20
    clock.ms = START_MS + 110_000
    assert retry_after(backlog) == 60


def test_what_others_drain_makes_no_room_for_a_tenant(backlog: Backlog, clock: HandClock) -> None:
    fill(backlog, 20, "globex", 100)
    for number in range(100, 120):
        backlog.leave(f"task_{number:04d}", started=False)
    fill(backlog, 40)
    clock.ms += 1_000
    assert retry_after(backlog) == 60


def test_a_fast_queue_asks_for_a_second_at_least(backlog: Backlog) -> None:
    fill(backlog, 60)
    for task_id in claim(backlog, 20):
        backlog.leave(task_id, started=True)
    assert retry_after(backlog) == 1


# Claims.


def test_a_task_that_is_being_claimed_is_not_given_away_again(backlog: Backlog) -> None:
    fill(backlog, 3)
    assert claim(backlog, 2) == ["task_0000", "task_0001"]
    assert claim(backlog, 9) == ["task_0002"]
    assert len(backlog) == 3


def test_a_failed_claim_puts_its_tasks_back_in_their_places(backlog: Backlog) -> None:
    fill(backlog, 3)
    backlog.settle(claim(backlog, 2), failed=True)
    assert claim(backlog, 9) == ["task_0000", "task_0001", "task_0002"]


def test_a_task_that_was_cancelled_while_it_was_claimed_does_not_come_back(
    backlog: Backlog,
) -> None:
    fill(backlog, 2)
    taken = claim(backlog, 2)
    backlog.leave("task_0000", started=False)
    backlog.settle(taken, failed=True)
    assert claim(backlog, 9) == ["task_0001"]


def test_a_task_that_began_to_wait_again_while_it_was_claimed_is_there_once(
    backlog: Backlog,
) -> None:
    (one,) = fill(backlog, 1)
    taken = claim(backlog, 1)
    backlog.enter(one)
    backlog.settle(taken, failed=False)
    assert (len(backlog), claim(backlog, 9)) == (1, ["task_0000"])


def test_what_a_claim_did_not_find_is_forgotten(backlog: Backlog) -> None:
    fill(backlog, 2)
    taken = claim(backlog, 2)
    backlog.leave("task_0001", started=True)
    backlog.settle(taken, failed=False)
    assert len(backlog) == 0
    assert backlog.left_last_minute == 1


# Pauses and delays.


def test_a_paused_type_waits_and_has_no_place_until_it_is_resumed(backlog: Backlog) -> None:
    paused = PausedType("echo", "a bad model", START_MS)
    (one,) = fill(backlog, 1)
    other = record(1, task_type="ocr")
    backlog.enter(other)
    backlog.pause(paused)
    assert (backlog.paused("echo"), backlog.paused("ocr")) == (True, False)
    assert (backlog.pause_of("echo"), backlog.pauses) == (paused, {"echo": paused})
    assert position_of(backlog, one, START_MS) is None
    assert claim(backlog, 9) == ["task_0001"]
    backlog.resume("echo")
    backlog.resume("ocr")
    assert position_of(backlog, one, START_MS) == 1
    assert claim(backlog, 9) == ["task_0000"]


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
            backlog.leave(task_id, started=True)
    clock.ms = START_MS + 10_000
    position = position_of(backlog, waiting[29], clock.ms)
    assert position == 10
    assert backlog.eta_ms(waiting[29], position) == 5_000
    assert backlog.eta_ms(record(99, task_type="ocr"), 1) is None


def test_who_expires_does_not_count_as_a_start(backlog: Backlog) -> None:
    waiting = fill(backlog, 2)
    backlog.leave("task_0000", started=False)
    assert backlog.eta_ms(waiting[1], 1) is None


def test_who_is_being_claimed_is_first_and_who_runs_has_no_place(backlog: Backlog) -> None:
    (one,) = fill(backlog, 1)
    claim(backlog, 1)
    assert position_of(backlog, one, START_MS) == 1
    assert position_of(backlog, one._replace(server_id="srv_a"), START_MS) is None
