"""Positions of many at once and of one: the turns to come, played through or counted."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.queue.fair_queue import Waiting
from inferry.server.queue.flow import Flow
from tests.server.queues import MINUTE, NOW, line, queue_of, take, task

TENANTS = ("amber", "blue", "coral", "dark")
WEIGHTS = {"amber": 3.0, "blue": 0.5}
MADE = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.sampled_from([0, 0, 4, 9]),
        st.integers(0, 4 * MINUTE),
        st.sampled_from(["echo", "echo", "ocr"]),
    ),
    min_size=1,
    max_size=40,
)


def waiting(made: list[tuple[str, int, int, str]]) -> list[Waiting]:
    return [
        task(f"task_{number:03d}", tenant, priority=priority, queued_ms=NOW + at_ms, route=route)
        for number, (tenant, priority, at_ms, route) in enumerate(made)
    ]


@given(MADE, st.integers(0, 20))
def test_positions_of_all_are_the_order_in_which_they_go(
    made: list[tuple[str, int, int, str]], taken: int
) -> None:
    now = NOW + 4 * MINUTE
    queue = queue_of(waiting(made), WEIGHTS)
    take(queue, taken, now)
    told = queue.positions([f"task_{number:03d}" for number in range(40)], now)
    for route in ("echo", "ocr"):
        order = [one.id for one in take(queue, 40, now, [route])]
        assert [told.pop(task_id) for task_id in order] == list(range(1, len(order) + 1))
    assert not told


def test_asking_changes_nothing() -> None:
    tasks = [*line("amber", 5), *line("blue", 5, priority=2), *line("coral", 5)]
    asked, left_alone = queue_of(tasks), queue_of(tasks)
    asked.positions([one.id for one in tasks], NOW + MINUTE)
    assert take(asked, 15, NOW + MINUTE) == take(left_alone, 15, NOW + MINUTE)


@given(st.data())
def test_a_position_that_is_counted_is_right_within_a_turn_of_each_tenant(
    data: st.DataObject,
) -> None:
    # Long lines: it takes fewer steps to count the turns of a few tenants than to play them.
    sizes = [data.draw(st.integers(30, 60)) for _ in TENANTS]
    tasks = [
        one
        for name, size in zip(TENANTS, sizes, strict=True)
        for one in line(name, size, first_ms=NOW + data.draw(st.integers(0, 50)))
    ]
    queue = queue_of(tasks, WEIGHTS)
    take(queue, data.draw(st.integers(0, 20)), NOW + 1_000)
    some = data.draw(st.sampled_from(tasks)).id
    played = queue.positions([one.id for one in tasks], NOW + 1_000)
    counted = queue.positions([some], NOW + 1_000)
    assert counted.keys() == played.keys() & {some}
    bound = sum(max(1.0, WEIGHTS.get(name, 1.0) / 0.5) for name in TENANTS)
    assert all(abs(played[one] - counted[one]) <= bound for one in counted)


def test_positions_of_many_are_told_in_one_pass_and_a_single_one_by_the_lines() -> None:
    tenants = [f"tenant-{number:03d}" for number in range(50)]
    tasks = [one for name in tenants for one in line(name, 20)]
    queue = queue_of(tasks)
    with patch.object(Flow, "contest", autospec=True, side_effect=Flow.contest) as contest:
        queue.positions([tasks[-1].id], NOW)
        assert contest.call_count == len(tenants)
        queue.positions([one.id for one in tasks], NOW)
        assert contest.call_count == len(tenants)
