"""What is in memory of the lines, what is left to the store, and what is known of the rest."""

import pytest

from inferry.server.queue.fair_queue import FairQueue, Waiting
from inferry.server.queue.line_reads import END
from inferry.server.queue.window import Window
from tests.server.queues import NOW, line, task

ECHO = ("echo", "acme", 0)
COUNT = {("acme", "echo"): 10}


class Wing:
    """A queue with a window, and the store that it is of."""

    def __init__(self, size: int) -> None:
        self.queue = FairQueue({})
        self.window = Window(self.queue, size)
        self.stored: list[Waiting] = []

    def enter(self, one: Waiting, *, back: bool = False) -> bool:
        self.stored.append(one)
        admitted = self.window.admits(one, back=back)
        if admitted:
            self.queue.add(one)
        return admitted

    def leave(self, one: Waiting) -> None:
        self.stored.remove(one)
        here = self.queue.remove(one.id) is not None
        self.window.left(one.id, one.line, here=here)

    def read(self, limit: int) -> list[Waiting]:
        """Begins to read the line, and ends the read of the store."""
        first = self.window.begin_read(ECHO) or (0, "")
        mine = sorted((one for one in self.stored if one.key >= first), key=lambda one: one.key)
        return mine[: limit + 1]

    def fill(self, limit: int) -> None:
        self.window.load(ECHO, self.read(limit), limit, ())

    @property
    def here(self) -> list[str]:
        return sorted(self.queue)

    def check(self) -> None:
        """Whatever stands before the end is here, and what is not is counted."""
        end = self.window._end(ECHO)
        assert self.window.missing == len(self.stored) - len(self.queue)
        for one in self.stored:
            assert one.id in self.queue or end is None or one.key >= end


@pytest.fixture
def wing() -> Wing:
    return Wing(3)


def test_all_that_fits_is_here(wing: Wing) -> None:
    assert all(wing.enter(one) for one in line("acme", 3))
    assert (wing.window.missing, wing.window.low, wing.window.is_cut(ECHO)) == (0, False, False)
    wing.check()


def test_what_does_not_fit_is_missing_and_what_comes_after_it_too(wing: Wing) -> None:
    tasks = line("acme", 6)
    admitted = [wing.enter(one) for one in tasks]
    assert admitted == [True] * 3 + [False] * 3
    wing.leave(tasks[0])
    # There is room now, but for those that stand before.
    assert not wing.enter(task("task_z", queued_ms=NOW + 9))
    assert (wing.window.missing, wing.window.is_cut(ECHO)) == (4, True)
    wing.check()


def test_a_task_that_stands_before_the_end_enters_and_one_that_comes_back_always(
    wing: Wing,
) -> None:
    tasks = line("acme", 6)
    for one in tasks:
        wing.enter(one)
    wing.leave(tasks[1])
    assert wing.enter(task("task_a", queued_ms=NOW + 1))
    assert wing.enter(task("task_b", queued_ms=NOW), back=True)
    assert not wing.enter(task("task_c", queued_ms=NOW + 5), back=True)
    wing.check()


def test_a_line_that_runs_low_is_filled_from_its_end_on(wing: Wing) -> None:
    tasks = line("acme", 6)
    for one in tasks:
        wing.enter(one)
    assert wing.window.share(ECHO, 3) == 0
    for one in tasks[:2]:
        wing.leave(one)
    assert wing.window.take_low() == [ECHO]
    assert wing.window.wanted(ECHO) == 2
    wing.fill(2)
    assert wing.here == [one.id for one in tasks[2:5]]
    assert wing.window._end(ECHO) == tasks[5].key
    wing.check()
    wing.leave(tasks[2])
    wing.fill(2)
    assert (wing.window.missing, wing.window._end(ECHO)) == (0, END)


def test_a_line_of_which_nothing_is_known_lets_nothing_in_but_what_is_read(wing: Wing) -> None:
    wing.stored = line("acme", 2)
    wing.window.expect({("acme", "echo"): 2})
    assert not wing.enter(task("task_y", queued_ms=NOW + 5))
    assert wing.window.take_low() == [ECHO]
    wing.check()
    wing.fill(3)
    assert (wing.here[-1], wing.window.missing) == ("task_y", 0)


def test_what_is_left_out_while_a_line_is_read_is_found_by_the_next_read(wing: Wing) -> None:
    wing.stored = line("acme", 2)
    wing.window.expect({("acme", "echo"): 2})
    found = wing.read(3)
    late = task("task_y", queued_ms=NOW + 5)
    assert not wing.enter(late)
    wing.window.load(ECHO, found, 3, ())
    wing.check()
    assert wing.window._end(ECHO) == late.key
    wing.fill(3)
    assert late.id in wing.queue


def test_what_leaves_while_its_line_is_read_does_not_come_in(wing: Wing) -> None:
    first, second = wing.stored = line("acme", 2)
    wing.window.expect({("acme", "echo"): 2})
    found = wing.read(3)
    wing.leave(first)
    wing.window.load(ECHO, found, 3, ())
    assert wing.here == [second.id]
    wing.check()


def test_what_is_being_claimed_does_not_come_in_again(wing: Wing) -> None:
    first, second = wing.stored = line("acme", 2)
    wing.window.expect({("acme", "echo"): 1})
    wing.window.load(ECHO, wing.read(3), 3, {first.id})
    assert (wing.here, wing.window.missing) == ([second.id], 0)


def test_a_line_is_trimmed_to_its_first_tasks(wing: Wing) -> None:
    tasks = line("acme", 3)
    for one in reversed(tasks):
        wing.enter(one)
    wing.window.trim({ECHO: 1})
    assert (wing.here, wing.window.missing) == ([tasks[0].id], 2)
    assert wing.window._end(ECHO) == tasks[1].key
    wing.check()


def test_of_a_line_that_was_let_out_nothing_is_known_and_of_the_others_all(wing: Wing) -> None:
    other = task("task_o", "globex")
    wing.enter(other)
    for one in line("acme", 2):
        wing.enter(one)
    wing.window.evict([ECHO])
    assert (wing.here, wing.window.missing) == (["task_o"], 2)
    assert (wing.window._end(ECHO), wing.window._end(other.line)) == (None, END)
    assert wing.enter(task("task_p", "globex", queued_ms=NOW + 1))
    assert not wing.enter(task("task_q", queued_ms=NOW + 9))


def test_a_claim_that_found_nothing_leaves_its_line_to_be_looked_at(wing: Wing) -> None:
    (one,) = line("acme", 1)
    wing.enter(one)
    wing.queue.remove(one.id)
    wing.window.lose(one)
    assert (wing.window.missing, wing.window.take_low()) == (1, [ECHO])
    wing.check()


def test_a_line_keeps_when_its_last_turn_was_though_it_was_empty_for_a_while(wing: Wing) -> None:
    wing.stored = tasks = line("acme", 4)
    wing.window.expect({("acme", "echo"): 4})
    wing.fill(1)
    wing.queue.remove(tasks[0].id)
    wing.stored.pop(0)
    wing.window.taken([tasks[0]], NOW + 500)
    wing.fill(1)
    assert wing.queue.since_ms(ECHO) == NOW + 500


def test_more_that_left_than_was_missing_shows_that_a_count_is_wrong(wing: Wing) -> None:
    (one,) = wing.stored = line("acme", 1)
    wing.leave(one)
    assert (wing.window.missing, wing.window.missed.drifted) == (0, True)


def test_when_nothing_is_missing_all_ends_are_forgotten(wing: Wing) -> None:
    wing.stored = line("acme", 2)
    wing.window.expect({("acme", "echo"): 2})
    wing.fill(3)
    wing.window.settle()
    assert (wing.window._ends, wing.window._complete) == ({}, True)
    assert wing.enter(task("task_z", "globex"))
