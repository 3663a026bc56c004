from itertools import product

import pytest

from inferry.backend.states import TABLE, Event, State, Tell

LIVE = (State.RUNNING, State.STOPPING)


@pytest.mark.parametrize(("state", "event"), [*product(LIVE, Event)])
def test_whatever_happens_to_an_attempt_is_in_the_table(state: State, event: Event) -> None:
    assert (state, event) in TABLE


def test_nothing_happens_to_one_that_has_gone() -> None:
    assert all(state in LIVE for state, _ in TABLE)


@pytest.mark.parametrize("event", [*Event])
def test_whose_end_is_known_tells_no_other_end(event: Event) -> None:
    after, tell = TABLE[State.STOPPING, event]
    assert tell in (Tell.NOTHING, Tell.STOPPED)
    assert (after is State.GONE) == (tell is Tell.STOPPED)
