"""Ids: ULIDs that grow."""

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.task.ids import Ulids, new_server_id, new_task_id

NOW_MS = 1_704_067_200_000
#: Crockford's, in the order of their values.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def value(ulid: str) -> int:
    """Reads a ULID as the number that it is."""
    found = 0
    for char in ulid:
        found = 32 * found + ALPHABET.index(char)
    return found


def test_an_id_names_its_kind_and_its_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    for prefix, made in (("task_", new_task_id()), ("srv_", new_server_id())):
        assert made.startswith(prefix)
        ulid = made.removeprefix(prefix)
        assert len(ulid) == 26
        assert before_ms <= value(ulid) >> 80 <= time.time_ns() // 1_000_000 + 1


@given(st.lists(st.integers(-5, 5), max_size=200))
def test_each_is_larger_than_all_before_whatever_the_clock_does(steps: list[int]) -> None:
    ulids, now = Ulids(), NOW_MS
    made = [ulids.new(now := now + step) for step in steps]
    assert made == sorted(set(made))


def test_what_follows_within_a_millisecond_cannot_be_counted_up_to() -> None:
    ulids = Ulids()
    made = [value(ulids.new(NOW_MS)) for _ in range(100)]
    steps = [later - earlier for earlier, later in pairwise(made)]
    assert len(set(steps)) == len(steps)
    assert sum(steps) > 100 * 2**20


def test_two_processes_make_different_ones() -> None:
    assert Ulids().new(NOW_MS) != Ulids().new(NOW_MS)
