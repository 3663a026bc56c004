"""A replica acts as an owner only as long as nobody else can think that it is no more."""

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.replica.tenure import Tenure


class Hand:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def test_it_does_not_hold_before_the_first_renewal() -> None:
    assert not Tenure(15, Hand()).holds


def test_it_counts_from_before_the_renewal_was_sent() -> None:
    hand = Hand()
    tenure = Tenure(15, hand)
    begun_s = tenure.begin_renewal()
    hand.s += 10
    tenure.renewed(begun_s)
    assert tenure.holds
    hand.s += 3.4
    assert tenure.holds
    hand.s += 0.2
    assert not tenure.holds


def test_a_renewal_that_took_longer_than_it_holds_is_worth_nothing() -> None:
    hand = Hand()
    tenure = Tenure(15, hand)
    begun_s = tenure.begin_renewal()
    hand.s += 14
    tenure.renewed(begun_s)
    assert not tenure.holds


def test_who_was_late_goes_on_with_the_next_renewal() -> None:
    hand = Hand()
    tenure = Tenure(15, hand)
    tenure.renewed(tenure.begin_renewal())
    hand.s += 60
    assert not tenure.holds
    tenure.renewed(tenure.begin_renewal())
    assert tenure.holds


def test_an_answer_that_comes_late_does_not_shorten_it() -> None:
    hand = Hand()
    tenure = Tenure(15, hand)
    early_s = tenure.begin_renewal()
    hand.s += 10
    tenure.renewed(tenure.begin_renewal())
    tenure.renewed(early_s)
    hand.s += 10
    assert tenure.holds


def test_who_came_back_from_a_time_without_the_store_judges_nobody_at_once() -> None:
    hand = Hand()
    tenure, steady = Tenure(15, hand), []
    tenure.renewed(tenure.begin_renewal())
    steady.append(tenure.steady)
    for _ in range(2):
        hand.s += 5
        tenure.renewed(tenure.begin_renewal())
    steady.append(tenure.steady)
    hand.s += 60
    steady.append(tenure.steady)
    tenure.renewed(tenure.begin_renewal())
    steady.append(tenure.steady)
    hand.s += 8
    steady.append(tenure.steady)
    assert steady == [False, True, False, False, True]


def test_who_was_taken_over_from_never_acts_again() -> None:
    tenure = Tenure(15, Hand())
    tenure.renewed(tenure.begin_renewal())
    tenure.lose()
    tenure.renewed(tenure.begin_renewal())
    assert not tenure.holds


def test_a_gateway_that_has_its_store_alone_holds_it_for_ever() -> None:
    hand = Hand()
    tenure = Tenure(monotonic_s=hand)
    hand.s += 1e9
    assert tenure.holds


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=20), st.floats(0, 20))
def test_it_has_ended_here_before_it_ends_in_the_store(
    renewals: list[tuple[float, float]], then_s: float
) -> None:
    hand = Hand()
    tenure, lease_ends_s = Tenure(15, hand), 0.0
    for way_s, back_s in renewals:
        begun_s = tenure.begin_renewal()
        hand.s += way_s
        if hand.s < lease_ends_s or not lease_ends_s:
            lease_ends_s = hand.s + 15
        else:
            tenure.lose()
        hand.s += back_s
        tenure.renewed(begun_s)
        assert not tenure.holds or hand.s < lease_ends_s
    hand.s += then_s
    assert not tenure.holds or hand.s < lease_ends_s
