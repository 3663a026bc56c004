"""Counts that lag behind are no wrong counts; what stays off is."""

import pytest

from inferry.server.queue.drift import Drift

ECHO, DRAW = ("acme", "echo"), ("acme", "draw")


@pytest.fixture
def drift() -> Drift:
    return Drift()


def test_what_is_off_by_turns_is_late_and_no_more(drift: Drift) -> None:
    for more in (5, 3, -1, 2, 4) * 2:
        assert drift.look({ECHO: more}) == {}


def test_what_was_right_once_is_late_and_no_more(drift: Drift) -> None:
    looks: list[dict[tuple[str, str], int]] = [{ECHO: 2}, {ECHO: 2}, {}, {ECHO: 2}, {ECHO: 2}]
    assert [drift.look(one) for one in looks] == [{}] * 5


def test_what_stays_off_is_off_by_the_least_of_it(drift: Drift) -> None:
    for more in (5, 3, 7, 4):
        assert drift.look({ECHO: more, DRAW: -more}) == {}
    assert drift.look({ECHO: 6, DRAW: -6}) == {ECHO: 3, DRAW: -3}


def test_after_an_answer_it_looks_anew(drift: Drift) -> None:
    for _ in range(4):
        drift.look({ECHO: 1})
    assert drift.look({ECHO: 1}) == {ECHO: 1}
    assert [drift.look({ECHO: 1}) for _ in range(5)] == [{}, {}, {}, {}, {ECHO: 1}]


def test_each_is_looked_at_from_when_it_was_off(drift: Drift) -> None:
    looks = [{ECHO: 1}, {ECHO: 1}, {ECHO: 1, DRAW: 2}, {ECHO: 1, DRAW: 2}, {ECHO: 1, DRAW: 2}]
    assert [drift.look(one) for one in looks] == [{}, {}, {}, {}, {ECHO: 1}]
    assert [drift.look({DRAW: 2}) for _ in range(2)] == [{}, {DRAW: 2}]
