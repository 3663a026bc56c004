"""Lines by level, as time goes by: the right one first, and nothing done for the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.queue.flow import Flow, Line
from inferry.server.queue.levels import Levels, Stage
from tests.server.queues import MINUTE, NOW, line, queue_of, take

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.sampled_from([0, 3, 8, 9])),
        st.tuples(st.just("discard"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("pass"), st.sampled_from([0, 1, 20, 60, 200]), st.just(0)),
    ),
    max_size=60,
)


def line_of(number: int, priority: int = 0, queued_ms: int = NOW, tag: float = 0.0) -> Line:
    made = Flow(f"tenant-{number}", tag, 1.0).line(priority)
    made.add((queued_ms, f"task_{number:05d}"))
    return made


@contextmanager
def counted_moves() -> Iterator[list[Line]]:
    """Gives the lines that are put onto a stage, each time that one is."""
    moved: list[Line] = []
    put = Stage.put

    def counting(stage: Stage, one: Line) -> None:
        moved.append(one)
        put(stage, one)

    with patch.object(Stage, "put", counting):
        yield moved


@given(STEPS)
def test_the_first_is_of_the_highest_level_and_there_of_the_lowest_tag(
    steps: list[tuple[str, int, int]],
) -> None:
    levels, now = Levels(), NOW
    lines: dict[int, Line] = {}
    for step, number, priority in steps:
        if step == "pass":
            now += number * 1_000
        elif number in lines:
            levels.discard(lines.pop(number))
        elif step == "put":
            # Tags in another order than ages: neither may stand in for the other.
            lines[number] = line_of(number, priority, now - number * 7_000, tag=number * 3 % 10)
            levels.put(lines[number])
        assert len(levels) == len(lines)
        if not lines:
            with pytest.raises(LookupError):
                levels.first(now)
            continue
        best = min(lines.values(), key=lambda one: (-one.level(now), one.flow.tag, one.keys[0]))
        assert levels.first(now) == (best.level(now), best)


def test_a_round_moves_the_lines_that_it_serves_and_no_others() -> None:
    moves = []
    for tenants in (20, 2_000):
        queue = queue_of([one for n in range(tenants) for one in line(f"tenant-{n}", 3)])
        take(queue, 1)
        with counted_moves() as moved:
            assert len(take(queue, 10)) == 10
        moves.append(len(moved))
    assert moves == [10, 10]


@pytest.mark.parametrize("priorities", [(0,), (0, 3, 9)])
def test_lines_that_rise_together_are_not_moved_one_by_one(priorities: tuple[int, ...]) -> None:
    levels = Levels()
    for number in range(3_000):
        levels.put(line_of(number, priorities[number % len(priorities)], NOW + number))
    levels.first(NOW + 3_000)
    with counted_moves() as moved:
        level, _ = levels.first(NOW + 3 * MINUTE + 3_000)
    assert level == min(9, max(priorities) + 3)
    assert len(moved) < 150


def test_when_a_part_of_a_stage_rises_the_smaller_part_is_moved() -> None:
    for risen in (300, 700):
        levels = Levels()
        for number in range(1_000):
            levels.put(line_of(number, 0, NOW + number))
        levels.first(NOW + 1_000)
        with counted_moves() as moved:
            assert levels.first(NOW + MINUTE + risen - 1)[0] == 1
        assert 300 <= len(moved) < 350
        assert len(levels._stages[1].lines()) == risen
