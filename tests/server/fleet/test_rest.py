"""How long a server is left alone that refuses a task."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.fleet.rest import ASKED_SHORTEST_MS, Rest, refuse
from tests.server.fleets import START_MS
from tests.server.rules import FLEET_RULES

NOW = START_MS
RULES = FLEET_RULES.rest


def test_a_later_refusal_never_makes_a_rest_shorter() -> None:
    long = refuse(Rest(), NOW, 60_000, RULES)
    assert refuse(long, NOW + 1, 1_000, RULES) == long


@given(
    st.lists(
        st.tuples(st.integers(0, 60_000), st.none() | st.integers(0, 10**15)),
        min_size=1,
        max_size=30,
    ),
    st.integers(ASKED_SHORTEST_MS, 86_400_000),
)
def test_a_rest_is_never_longer_than_it_may_be_whatever_is_asked_for(
    refusals: list[tuple[int, int | None]], longest_ms: int
) -> None:
    rest, now = Rest(), NOW
    for later_ms, asked_ms in refusals:
        now += later_ms
        rest = refuse(rest, now, asked_ms, replace(RULES, longest_ms=longest_ms))
        assert now + ASKED_SHORTEST_MS <= rest.until_ms <= now + longest_ms


def test_a_refusal_beside_an_answer_is_the_first_of_another_streak() -> None:
    rest = refuse(Rest(), NOW, None, RULES)
    answered = rest._replace(streak=0)
    again = refuse(answered, NOW + 500, None, RULES)
    assert again == Rest(NOW + 500 + RULES.first_ms, 1)
    # Half a second of a streak that there is not would have been a float, which no protobuf takes.
    assert isinstance(again.until_ms, int)
