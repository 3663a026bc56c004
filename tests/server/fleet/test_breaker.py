"""The breaker's table, its rules one by one, and random calls against a model."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferry.server.fleet.breaker import (
    CALLS_KEPT,
    TRANSITIONS,
    Breaker,
    BreakerState,
    CallEnd,
    Turn,
    encourage,
    note,
)
from tests.server.rules import FLEET_RULES

RULES = FLEET_RULES.breaker
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
#: Answered, refused, unreachable, broken.
ENDS = {
    "+": CallEnd.ANSWERED,
    "r": CallEnd.REFUSED,
    "u": CallEnd.UNREACHABLE,
    "b": CallEnd.BROKEN,
}


def after(ends: str, breaker: Breaker | None = None, apart_ms: int = 1) -> Breaker:
    """Applies a series of calls, the first at 1 s."""
    breaker = breaker or Breaker()
    for index, end in enumerate(ends):
        breaker = note(breaker, ENDS[end], 1_000 + index * apart_ms, RULES)
    return breaker


def test_the_table_knows_every_state_with_every_turn_and_nothing_else() -> None:
    assert set(TRANSITIONS) == set(itertools.product(BreakerState, Turn))
    assert set(TRANSITIONS.values()) == set(BreakerState)


@pytest.mark.parametrize(
    ("ends", "state", "reason"),
    [
        ("", CLOSED, ""),
        ("uu", CLOSED, ""),
        ("uu++++uu", CLOSED, ""),
        ("+uuu", OPEN, "3 connections in a row failed"),
        ("uruurrrr", OPEN, "3 connections in a row failed"),
        ("ubuu", OPEN, "3 connections in a row failed"),
        ("bbbb", CLOSED, ""),
        ("bbbbb", OPEN, "5 of its last 5 calls failed"),
        ("bbrrrr", CLOSED, ""),
        ("+++bbb", CLOSED, ""),
        ("+++bbbb", OPEN, "4 of its last 7 calls failed"),
        ("rrrrrr", CLOSED, ""),
    ],
)
def test_it_opens_after_three_connection_failures_in_a_row_or_when_most_calls_fail(
    ends: str, state: BreakerState, reason: str
) -> None:
    breaker = after(ends)
    assert (breaker.state, breaker.reason) == (state, reason)


def test_calls_older_than_the_window_do_not_count() -> None:
    assert after("bbbbb", apart_ms=RULES.window_ms // 5).state is OPEN
    assert after("bbbbb", apart_ms=RULES.window_ms // 4).state is CLOSED


def test_it_looks_back_on_so_many_calls_that_a_busy_server_is_noticed_soon() -> None:
    busy = after("+" * 10 * CALLS_KEPT)
    assert len(busy.calls) == CALLS_KEPT
    assert after("b" * (CALLS_KEPT // 2), busy).state is CLOSED
    assert after("b" * (CALLS_KEPT // 2 + 1), busy).state is OPEN


def test_it_is_open_for_five_seconds_and_for_twice_as_long_after_each_failed_trial() -> None:
    breaker, now_ms, waits = after("uuu"), 1_002, []
    for _ in range(6):
        waits.append(breaker.until_ms - now_ms)
        now_ms = breaker.until_ms
        breaker = note(encourage(breaker), CallEnd.BROKEN, now_ms, RULES)
    assert waits == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]
    assert breaker.reason == "6 trials in a row failed"


def test_a_trial_that_is_answered_closes_it_and_everything_begins_anew() -> None:
    breaker = encourage(after("b", encourage(after("uuu"))))
    assert (breaker.state, breaker.until_ms, breaker.openings) == (HALF_OPEN, 0, 2)
    assert note(breaker, CallEnd.ANSWERED, 9_000, RULES) == Breaker()


def test_a_trial_that_is_refused_decides_nothing() -> None:
    breaker = encourage(after("uuu"))
    assert note(breaker, CallEnd.REFUSED, 9_000, RULES) is breaker


def test_calls_that_end_while_it_is_open_change_nothing() -> None:
    breaker = after("uuu")
    assert after("uub+r", breaker) is breaker


def test_a_good_probe_shows_that_connections_can_be_made_and_no_more() -> None:
    closed = encourage(after("+uu"))
    assert closed == after("+uu")._replace(unreachable=0)
    assert after("uu", closed).reason == "4 of its last 5 calls failed"
    half_open = encourage(after("uuu"))
    assert encourage(half_open) == half_open


class Breakers(RuleBasedStateMachine):
    """A breaker against the plainest model of the same rules: a list of all that happened."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now_ms = 1_000
        #: Since it was last closed or opened.
        self.calls: list[tuple[int, CallEnd]] = []
        self.trials_failed = 0
        #: How many of the calls had ended at the last good probe.
        self.probed = 0

    @initialize(
        failures=st.integers(1, 4),
        percent=st.integers(0, 100),
        calls=st.integers(1, 6),
        open_ms=st.integers(10, 1_000),
        longest_ms=st.integers(1_000, 4_000),
    )
    def choose_rules(self, **numbers: int) -> None:
        self.limits = replace(RULES, window_ms=5_000, **numbers)

    @rule(wait_ms=st.integers(0, 3_000))
    def time_passes(self, wait_ms: int) -> None:
        self.now_ms += wait_ms
        if 0 < self.breaker.until_ms <= self.now_ms:
            self.breaker = encourage(self.breaker)
            assert self.breaker.state is HALF_OPEN

    @precondition(lambda self: self.breaker.state is CLOSED)
    @rule(end=st.sampled_from(CallEnd))
    def a_call_ends(self, end: CallEnd) -> None:
        if end is not CallEnd.REFUSED:
            self.calls.append((self.now_ms, end))
        self.breaker = note(self.breaker, end, self.now_ms, self.limits)
        must_open = end not in (CallEnd.ANSWERED, CallEnd.REFUSED) and self._too_many()
        assert (self.breaker.state is OPEN) == must_open
        if must_open:
            assert self.breaker.until_ms == self.now_ms + min(
                self.limits.open_ms, self.limits.longest_ms
            )
            self.calls, self.probed = [], 0

    @precondition(lambda self: self.breaker.state is OPEN)
    @rule(end=st.sampled_from(CallEnd))
    def an_old_call_ends(self, end: CallEnd) -> None:
        before = self.breaker
        self.breaker = note(before, end, self.now_ms, self.limits)
        assert self.breaker == before

    @rule()
    def a_probe_is_good(self) -> None:
        before = self.breaker
        self.breaker = encourage(before)
        assert (self.breaker.state is CLOSED) == (before.state is CLOSED)
        assert self.breaker.state is not OPEN
        self.probed = len(self.calls)

    @precondition(lambda self: self.breaker.state is HALF_OPEN)
    @rule(end=st.sampled_from(CallEnd))
    def the_trial_ends(self, end: CallEnd) -> None:
        before = self.breaker
        self.breaker = note(before, end, self.now_ms, self.limits)
        if end is CallEnd.REFUSED:
            assert self.breaker == before
        elif end is CallEnd.ANSWERED:
            assert self.breaker == Breaker()
            self.trials_failed = 0
        else:
            self.trials_failed += 1
            usual_ms = self.limits.open_ms * 2**self.trials_failed
            assert self.breaker.until_ms == self.now_ms + min(self.limits.longest_ms, usual_ms)

    @invariant()
    def only_an_open_one_has_an_end_and_only_a_closed_one_has_no_reason(self) -> None:
        assert (self.breaker.until_ms > 0) == (self.breaker.state is OPEN)
        assert (self.breaker.reason == "") == (self.breaker.state is CLOSED)
        assert len(self.breaker.calls) <= CALLS_KEPT

    def _too_many(self) -> bool:
        in_a_row = 0
        for _, end in reversed(self.calls[self.probed :]):
            if end is CallEnd.ANSWERED:
                break
            in_a_row += end is CallEnd.UNREACHABLE
        since_ms = self.now_ms - self.limits.window_ms
        lately = [end for at_ms, end in self.calls if at_ms > since_ms][-CALLS_KEPT:]
        failed = sum(end is not CallEnd.ANSWERED for end in lately)
        most = failed * 100 > self.limits.percent * len(lately)
        return in_a_row >= self.limits.failures or (len(lately) >= self.limits.calls and most)


TestBreakers = Breakers.TestCase
