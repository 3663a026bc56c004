"""Leases: what renews them, and what is lost when nothing does."""

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.fleet.lease import AttemptKey, Lease
from tests.server.fleets import START_MS

LENGTH_MS = 15_000
FIRST, SECOND = ("task_1", 1), ("task_2", 1)
NOW = START_MS


def granted() -> Lease:
    lease = Lease()
    lease.grant(NOW)
    return lease


def test_an_attempt_is_doomed_when_its_server_was_missed_twice_while_it_had_it() -> None:
    lease = granted()
    lease.miss({FIRST})
    assert lease.ends_ms(LENGTH_MS) == 0
    lease.miss({FIRST, SECOND})
    assert lease.doomed == {FIRST}
    assert lease.ends_ms(LENGTH_MS) == NOW + LENGTH_MS
    lease.miss({SECOND})
    assert lease.doomed == {SECOND}


def test_a_sign_of_life_renews_the_lease_and_nothing_is_doomed() -> None:
    lease = granted()
    for _ in range(2):
        lease.miss({FIRST})
    lease.renew(NOW + 1)
    assert lease.ends_ms(LENGTH_MS) == 0
    lease.miss({FIRST})
    assert lease.doomed == set()
    lease.miss({FIRST})
    assert lease.ends_ms(LENGTH_MS) == NOW + 1 + LENGTH_MS


def test_a_sign_of_life_from_before_the_last_one_takes_no_time_away() -> None:
    lease = granted()
    lease.renew(NOW + 5)
    lease.renew(NOW + 3)
    assert (lease.seen_ms, lease.begun_ms) == (NOW + 5, NOW + 5)


def test_a_lease_counts_from_its_grant_at_the_earliest() -> None:
    lease = Lease(seen_ms=NOW - 1)
    lease.grant(NOW)
    assert lease.begun_ms == NOW
    assert lease.seen_ms == NOW - 1


def test_what_was_buried_is_not_doomed_any_more_and_what_was_not_still_is() -> None:
    lease = granted()
    for _ in range(2):
        lease.miss({FIRST, SECOND})
    lease.bury({FIRST})
    assert lease.doomed == {SECOND}
    lease.bury({SECOND})
    assert lease.ends_ms(LENGTH_MS) == 0


@given(st.lists(st.none() | st.sets(st.sampled_from([FIRST, SECOND]))))
def test_only_what_a_server_had_at_two_misses_in_a_row_is_doomed(
    course: list[set[AttemptKey] | None],
) -> None:
    """``None`` is a sign of life, a set what the server had at a miss."""
    lease = granted()
    for held in course:
        if held is None:
            lease.renew(NOW)
        else:
            lease.miss(held)
    last = [held or set() for held in course[-2:]]
    assert lease.doomed == (last[0] & last[1] if len(last) == 2 else set())
