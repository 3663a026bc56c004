"""The health table: every (health, probe) pair, then random series of probes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.server.servers import (
    BAD_STREAK,
    GOOD_STREAK,
    HEALTH,
    Health,
    Probe,
    ServerStatus,
    observe,
)

ACTIVE, DEGRADED, OFFLINE = ServerStatus.ACTIVE, ServerStatus.DEGRADED, ServerStatus.OFFLINE


def after(probes: str) -> ServerStatus:
    """Names the health after a series of good (+) and bad (-) probes."""
    health = Health()
    for probe in probes:
        health = observe(health, good=probe == "+")
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
    if probes.endswith("+" * GOOD_STREAK):
        assert status is ACTIVE
    if probes.endswith("-" * BAD_STREAK):
        assert status is OFFLINE
    if probes.endswith("-"):
        assert status >= max(DEGRADED, after(probes[:-1]))
    if probes.endswith("+"):
        assert status <= min(DEGRADED, after(probes[:-1]))
