from hypothesis import given
from hypothesis import strategies as st

from inferry.wire.held import held_hash

ATTEMPTS = st.tuples(st.text(), st.integers(1, 2**31 - 1))


def test_the_hash_of_nothing_is_0() -> None:
    assert held_hash([]) == 0


def test_it_is_what_the_protocol_says() -> None:
    # sha256sum of "task_1:1" and "task_2:3", their first 8 bytes.
    one, other = held_hash([("task_1", 1)]), held_hash([("task_2", 3)])
    assert one == 0x4802182F41252349
    assert held_hash([("task_1", 1), ("task_2", 3)]) == one ^ other


@given(st.lists(ATTEMPTS, unique=True))
def test_the_order_does_not_matter(attempts: list[tuple[str, int]]) -> None:
    assert held_hash(attempts) == held_hash(reversed(attempts))
    assert 0 <= held_hash(attempts) < 2**64
