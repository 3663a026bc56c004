"""The health table: every (health, probe) pair, then random series of probes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inferry.server.fleet.record import (
    HEALTH,
    Health,
    HealthRules,
    Probe,
    ServerStatus,
    observe,
)
from tests.server.rules import FLEET_RULES

RULES = FLEET_RULES.health
ACTIVE, DEGRADED, OFFLINE = ServerStatus.ACTIVE, ServerStatus.DEGRADED, ServerStatus.OFFLINE


def after(probes: str) -> ServerStatus:
    """Names the health after a series of good (+) and bad (-) probes."""
    health = Health()
    for probe in probes:
        health = observe(health, RULES, good=probe == "+")
    return health.status


def test_the_table_knows_every_health_with_every_probe_and_nothing_else() -> None:
    assert set(HEALTH) == set(itertools.product((ACTIVE, DEGRADED, OFFLINE), Probe))
    assert set(HEALTH.values()) == {ACTIVE, DEGRADED, OFFLINE}


@pytest.mark.parametrize(
    ("probes", "status"),
    [
        ("", ACTIVE),
        ("-", DEGRADED),
        ("--", DEGRADED),
        ("---", OFFLINE),
        ("-+", DEGRADED),
        ("-++", ACTIVE),
        ("-+-+-+", DEGRADED),
        ("--+--", DEGRADED),
        ("---+", DEGRADED),
        ("---+-+", DEGRADED),
        ("---+---", OFFLINE),
        ("---++", ACTIVE),
        ("---++-", DEGRADED),
    ],
)
def test_one_failure_degrades_three_take_offline_one_good_is_half_way_back_two_restore(
    probes: str, status: ServerStatus
) -> None:
    assert after(probes) is status


@settings(deadline=None)
@given(st.text("+-", max_size=40))
def test_the_last_streak_decides_and_a_server_never_rises_on_a_bad_probe(probes: str) -> None:
    status = after(probes)
    if probes.endswith("+" * RULES.good):
        assert status is ACTIVE
    if probes.endswith("-" * RULES.bad):
        assert status is OFFLINE
    if probes.endswith("-"):
        assert status >= max(DEGRADED, after(probes[:-1]))
    if probes.endswith("+"):
        assert status <= min(DEGRADED, after(probes[:-1]))


class Probing(RuleBasedStateMachine):
    """A server's health against what its last probes say."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health()
        #: All of them; True is a good one.
        self.probes: list[bool] = []

    @rule(good=st.booleans())
    def a_probe_ends(self, good: bool) -> None:
        self.probes.append(good)
        before, self.health = self.health, observe(self.health, RULES, good=good)
        step = self.health.status - before.status
        assert step <= 0 if good else step >= 0

    @invariant()
    def the_streak_is_that_of_the_last_probes(self) -> None:
        last = list(itertools.takewhile(self.probes[-1:].__contains__, reversed(self.probes)))
        assert abs(self.health.streak) == len(last)
        assert (self.health.streak > 0) == bool(last and last[0])

    @invariant()
    def it_is_offline_from_three_bad_probes_until_the_next_good_one(self) -> None:
        assert (self.health.status is OFFLINE) == (self.health.streak <= -RULES.bad)

    @invariant()
    def it_is_active_if_it_was_never_bad_or_twice_good_since(self) -> None:
        well = all(self.probes) or self.health.streak >= RULES.good
        assert (self.health.status is ACTIVE) == well


TestProbing = Probing.TestCase


def test_how_many_probes_decide_is_for_the_rules_to_say() -> None:
    rules = HealthRules(bad=1, good=3)
    health, statuses = Health(), []
    for good in (False, True, True, True):
        health = observe(health, rules, good=good)
        statuses.append(health.status)
    assert statuses == [OFFLINE, DEGRADED, DEGRADED, ACTIVE]
