"""The order of the queue, rule by rule."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.queue.fair_queue import FairQueue, Waiting
from tests.server.queues import MINUTE, NOW, line, queue_of, take, task, tenants

TENANTS = ("amber", "blue", "coral", "dark")
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 7.0])


def position_of(queue: FairQueue, task_id: str, now_ms: int = NOW) -> int | None:
    """Asks for one position, as whoever reads one task does."""
    return queue.positions([task_id], now_ms).get(task_id)


def ids(taken: list[Waiting]) -> list[str]:
    return [one.id for one in taken]


# Priority and age.


def test_the_highest_priority_goes_first_and_then_the_oldest() -> None:
    queue = queue_of(
        [
            task("task_late", queued_ms=NOW + 1),
            task("task_high", priority=9, queued_ms=NOW + 2),
            task("task_early"),
            task("task_middle", priority=5),
        ]
    )
    assert ids(take(queue, 9)) == ["task_high", "task_middle", "task_early", "task_late"]


@pytest.mark.parametrize(
    ("waited_ms", "first"),
    [(5 * MINUTE - 1, "task_high"), (5 * MINUTE, "task_low"), (20 * MINUTE, "task_low")],
)
def test_a_task_rises_a_step_for_each_full_minute_that_it_is_passed_over(
    waited_ms: int, first: str
) -> None:
    queue = queue_of([task("task_low")])
    # Asked before, so that the order has to change by time alone.
    take(queue, 0)
    queue.add(task("task_high", "blue", priority=5, queued_ms=NOW + waited_ms))
    assert ids(take(queue, 1, NOW + waited_ms)) == [first]


def test_nothing_rises_above_the_highest_priority() -> None:
    queue = queue_of([task("task_old", queued_ms=NOW)])
    queue.add(task("task_high", priority=9, queued_ms=NOW - 1))
    assert ids(take(queue, 1, NOW + 60 * MINUTE)) == ["task_high"]


def test_a_backlog_older_than_a_minute_does_not_outrank_what_others_bring() -> None:
    queue = queue_of(line("amber", 100))
    later = NOW + 5 * MINUTE
    take(queue, 1, later)
    for one in line("blue", 10, first_ms=later):
        queue.add(one)
    assert tenants(take(queue, 20, later)) == "ba" * 10


def test_of_many_low_ones_the_first_alone_has_aged() -> None:
    queue = queue_of([*line("amber", 3), *line("blue", 3, first_ms=NOW + 9 * MINUTE, priority=9)])
    assert tenants(take(queue, 6, NOW + 9 * MINUTE)) == "abbbaa"


def test_a_task_that_comes_back_takes_its_old_place() -> None:
    now = NOW + 4 * MINUTE
    queue = queue_of([*line("amber", 3), task("task_other", priority=3, queued_ms=now)])
    (first,) = take(queue, 1, now)
    assert first.id == "task_amber_0000"
    queue.add(first)
    assert ids(take(queue, 9, now)) == [
        "task_amber_0000",
        "task_other",
        "task_amber_0001",
        "task_amber_0002",
    ]


# Turns of tenants and routes.


def test_a_newcomer_takes_turns_with_who_has_waited_long() -> None:
    queue = queue_of(line("amber", 1_000))
    assert tenants(take(queue, 3)) == "aaa"
    for one in line("blue", 3, first_ms=NOW + 5_000):
        queue.add(one)
    assert tenants(take(queue, 8)) == "bababaaa"


def test_who_was_away_has_saved_nothing_up() -> None:
    queue = queue_of([*line("amber", 200), *line("blue", 1)])
    take(queue, 100)
    for one in line("blue", 50, first_ms=NOW + 1_000):
        queue.add(one)
    assert Counter(tenants(take(queue, 40))) == {"a": 20, "b": 20}


def test_who_brings_one_task_at_a_time_gets_a_full_share_and_no_more() -> None:
    queue, order = queue_of([*line("amber", 100), *line("blue", 100)]), ""
    queue.add(task("task_c", "coral", queued_ms=NOW + 1_000))
    for number in count(1):
        if len(order) == 60:
            break
        (taken,) = take(queue, 1)
        order += taken.tenant[0]
        if taken.tenant == "coral":
            queue.add(task(f"task_c{number}", "coral", queued_ms=NOW + 1_000 + number))
    assert Counter(order) == {"a": 20, "b": 20, "c": 20}


def test_who_was_held_back_by_priority_has_saved_nothing_up() -> None:
    queue = queue_of([*line("amber", 50), *line("blue", 50, priority=5), *line("coral", 50)])
    assert tenants(take(queue, 50)) == "b" * 50
    for one in line("blue", 50, first_ms=NOW + 1_000):
        queue.add(one)
    got = Counter(tenants(take(queue, 30)))
    assert max(got.values()) - min(got[name] for name in "abc") <= 2


@given(st.lists(WEIGHTS, min_size=2, max_size=4), st.integers(1, 300))
def test_shares_follow_the_weights_within_one_task_of_each(
    weights: list[float], taken: int
) -> None:
    named = dict(zip(TENANTS, weights, strict=False))
    queue = queue_of([one for name in named for one in line(name, 300)], named)
    got = Counter(one.tenant for one in take(queue, taken))
    turns = {name: got[name] / weight for name, weight in named.items()}
    for one, other in ((one, other) for one in named for other in named if one != other):
        assert turns[one] - turns[other] <= 1 / named[one] + 1 / named[other] + 1e-6


@given(st.integers(1, 90))
def test_routes_take_equal_turns_however_many_tasks_and_tenants_they_have(taken: int) -> None:
    queue = queue_of(
        [
            *(task(f"task_1{n:03d}", f"t{n % 9}", route="many") for n in range(500)),
            *(task(f"task_2{n:03d}", "one", route="few") for n in range(30)),
            *(task(f"task_3{n:03d}", "two", route="odd") for n in range(30)),
        ]
    )
    got = Counter(one.route for one in take(queue, taken))
    assert max(got.values()) - min(got[route] for route in ("many", "few", "odd")) <= 1


def test_a_route_that_others_never_meet_does_not_change_their_turns() -> None:
    """Two routes share a slow server; a third one has a fast server for itself."""
    queue = FairQueue({})
    for route in ("slow", "slower", "fast"):
        for n in range(100):
            queue.add(task(f"task_{route}_{n:03d}", route=route))
    got: Counter[str] = Counter()
    for _ in range(10):
        take(queue, 9, routes=["fast"])
        got.update(one.route for one in take(queue, 2, routes=["slow", "slower"]))
    assert got == {"slow": 10, "slower": 10}


def test_tasks_go_to_places_until_a_route_has_none_left() -> None:
    queue = queue_of([task(f"task_{n}", route=route) for n, route in enumerate(["a", "b"] * 5)])
    slots = {"a": ["x", "y"], "b": ["x"]}

    def choose(route: str) -> str | None:
        return slots[route].pop() if slots[route] else None

    given = queue.allocate(["a", "b", "unknown"], choose, NOW, 9)
    assert [(one.id, found) for one, found in given] == [
        ("task_0", "y"),
        ("task_1", "x"),
        ("task_2", "x"),
    ]
    assert len(queue) == 7


@given(st.permutations([*line("amber", 8), *line("blue", 8, priority=1), *line("coral", 8)]))
def test_the_order_depends_on_the_tasks_and_not_on_how_they_came(tasks: list[Waiting]) -> None:
    usual = queue_of([*line("amber", 8), *line("blue", 8, priority=1), *line("coral", 8)])
    assert take(queue_of(tasks), 24, NOW + MINUTE) == take(usual, 24, NOW + MINUTE)


@pytest.mark.parametrize("priority", [0, 4, 9])
def test_nobody_waits_for_ever_behind_a_stream_of_others(priority: int) -> None:
    queue = queue_of([task("task_patient", "patient", priority=priority)])
    bypassed = 0
    for minute in range(11):
        now = NOW + minute * MINUTE
        for number in range(20):
            name = f"task_{minute}_{number}"
            queue.add(task(name, TENANTS[number % 4], priority=9, queued_ms=now))
        taken = take(queue, 20, now)
        if "task_patient" in ids(taken):
            bypassed = minute * 20 + ids(taken).index("task_patient")
            break
    # Minutes up to the highest level, and there a turn of each of the others.
    assert bypassed <= (9 - priority) * 20 + len(TENANTS)


# Delays.


def test_a_delayed_task_joins_when_its_time_has_come() -> None:
    queue = queue_of([task("task_1", not_before_ms=NOW + 10, queued_ms=NOW + 10)])
    assert (len(queue), queue.next_due_ms(), list(queue.routes)) == (1, NOW + 10, [])
    queue.wake(NOW + 9)
    assert take(queue, 1, NOW + 9) == []
    queue.wake(NOW + 10)
    assert queue.next_due_ms() is None
    assert ids(take(queue, 1, NOW + 10)) == ["task_1"]


def test_a_delayed_task_may_leave_before_its_time() -> None:
    queue = queue_of([task("task_1", not_before_ms=NOW + 10), task("task_2", not_before_ms=NOW)])
    assert queue.remove("task_1") is not None
    assert queue.next_due_ms() == NOW
    queue.wake(NOW + 100)
    assert ids(take(queue, 9)) == ["task_2"]
    assert queue.next_due_ms() is None


# What is told of it.


def test_it_counts_by_route_and_tenant() -> None:
    queue = queue_of(
        [
            *line("amber", 3),
            task("task_1", "blue", route="ocr"),
            task("task_2", "blue", route="ocr", not_before_ms=NOW + 5),
        ]
    )
    assert len(queue) == 5
    assert queue.lines == {("echo", "amber", 0): 3, ("ocr", "blue", 0): 2}
    assert queue.due_by_route() == {"echo": 3, "ocr": 1}
    assert queue.delayed_by_route() == {"ocr": 1}
    assert queue.remove("nothing") is None
    take(queue, 9)
    assert (len(queue), queue.lines, queue.due_by_route()) == (1, {("ocr", "blue", 0): 1}, {})


@given(
    st.lists(
        st.tuples(st.sampled_from(TENANTS), st.integers(0, 50_000)),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 20),
)
def test_positions_are_those_in_which_the_tasks_go_within_one_turn_of_each_tenant(
    made: list[tuple[str, int]], taken: int
) -> None:
    tasks = [
        task(f"task_{number:03d}", tenant, queued_ms=NOW + queued_ms)
        for number, (tenant, queued_ms) in enumerate(made)
    ]
    queue = queue_of(tasks)
    take(queue, taken, NOW + 50_000)
    told = {one.id: position_of(queue, one.id, NOW + 50_000) for one in tasks}
    for number, one in enumerate(take(queue, 40, NOW + 50_000), start=1):
        position = told[one.id]
        assert position is not None
        assert abs(position - number) < len(TENANTS)


def test_positions_mind_priority_age_and_weight() -> None:
    tasks = [
        task("task_aged", "dark", queued_ms=NOW - 9 * MINUTE),
        *line("amber", 4),
        *line("blue", 2, priority=5),
        *line("coral", 4),
    ]
    order = ids(take(queue_of(tasks, {"coral": 2}), 11))
    queue = queue_of(tasks, {"coral": 2})
    assert order[0] == "task_aged"
    for number, task_id in enumerate(order, start=1):
        told = position_of(queue, task_id)
        assert told is not None
        assert abs(told - number) <= 1


def test_who_is_delayed_or_unknown_has_no_position() -> None:
    queue = queue_of([task("task_1", not_before_ms=NOW + 1)])
    assert queue.positions(["task_1", "task_2"], NOW) == {}
