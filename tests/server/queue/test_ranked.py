"""The heap that the order of the queue is made of."""

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.queue.ranked import Ranked

STEPS = st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 5)), max_size=200)


@given(STEPS)
def test_the_first_is_always_the_lowest_of_those_that_are_in_it(
    steps: list[tuple[int, int | None]],
) -> None:
    ranked: Ranked[int, int] = Ranked()
    model: dict[int, int] = {}
    for member, rank in steps:
        if rank is None:
            ranked.discard(member)
            model.pop(member, None)
        else:
            ranked.put(member, rank)
            model[member] = rank
        assert ranked.first() == min(((r, m) for m, r in model.items()), default=None)
        assert set(ranked) == set(model)
        assert all(ranked.rank(one) == model.get(one) for one in range(10))


def test_it_takes_no_more_room_than_its_members_need() -> None:
    ranked: Ranked[int, int] = Ranked()
    for number in range(10_000):
        ranked.put(number % 3, number)
        ranked.put(100 + number, number)
        ranked.discard(100 + number)
    assert set(ranked) == {0, 1, 2}
    assert len(ranked._heap) < 100
