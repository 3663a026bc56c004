"""Cursors: what a watch returned is read back, and nothing else."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferry.server.engine.watch.cursors import PAIRS_LIMIT, Cursors
from inferry.server.errors import InvalidPayloadError
from inferry.server.store import POSITION_BITS
from inferry.server.store.operations import Epoch

EPOCHS = [Epoch(3, 30), Epoch(4, 2**63 - 1), Epoch(7, 70)]
CURSORS = Cursors(EPOCHS)
COUNTS = st.integers(0, 2**POSITION_BITS - 1)


def token(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def pair(tag: int, count: int) -> bytes:
    return tag.to_bytes(8) + count.to_bytes(5)


@given(st.sampled_from(EPOCHS), COUNTS)
def test_a_place_is_read_back_by_who_knows_its_epoch_and_by_nobody_else(
    epoch: Epoch, count: int
) -> None:
    written = CURSORS.write({epoch.number: count})
    assert len(written) < 24
    assert CURSORS.read(written) == {epoch.number: count}
    assert Cursors([Epoch(epoch.number, 5)]).read(written) is None


@given(st.dictionaries(st.sampled_from([3, 4, 7]), COUNTS, min_size=1))
def test_a_vector_is_read_back_wherever_all_its_epochs_are_known(vector: dict[int, int]) -> None:
    written = CURSORS.write(vector)
    assert CURSORS.read(written) == vector
    elsewhere = Cursors([*EPOCHS, Epoch(8, 80)])
    assert (elsewhere.read(written), elsewhere.write(vector)) == (vector, written)
    for missing in vector:
        fewer = Cursors(one for one in [Epoch(1, 10), *EPOCHS] if one.number != missing)
        assert fewer.read(written) is None


@pytest.mark.parametrize("vector", [{}, {1: 5}, {2: 9}])
def test_a_place_in_an_epoch_that_is_not_known_any_more_is_the_beginning_of_the_first_that_is(
    vector: dict[int, int],
) -> None:
    assert CURSORS.read(CURSORS.write(vector)) == {3: 0}


def test_epochs_that_are_not_known_any_more_need_no_name_beside_later_ones() -> None:
    assert CURSORS.read(CURSORS.write({2: 9, 3: 4, 7: 1})) == {3: 4, 7: 1}


def test_more_epochs_are_got_to_know() -> None:
    cursors, written = Cursors(EPOCHS), token(b"\x01" + pair(80, 3))
    assert cursors.read(written) is None
    cursors.meet([Epoch(7, 70), Epoch(8, 80)])
    assert cursors.read(written) == {8: 3}
    assert cursors.write({8: 3}) == written


def test_a_cursor_of_which_one_pair_is_not_known_means_nothing_here() -> None:
    assert CURSORS.read(token(b"\x01" + pair(30, 1) + pair(99, 1))) is None
    assert CURSORS.read(token(b"\x01" + b"".join(pair(tag, 1) for tag in range(64)))) is None


def test_a_vector_of_too_many_epochs_has_no_token() -> None:
    numbers = range(1, PAIRS_LIMIT + 2)
    cursors = Cursors(Epoch(number, 100 + number) for number in numbers)
    fits = dict.fromkeys(numbers[1:], 2**POSITION_BITS - 1)
    assert cursors.read(cursors.write(fits)) == fits
    assert not cursors.write(dict.fromkeys(numbers, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "=",
        "AR",
        token(b"\x01"),
        token(b"\x02" + pair(30, 1)),
        token(b"\x01" + pair(30, 1)[:-1]),
        token(b"\x01" + pair(30, 1) + b"\x00"),
        token(b"\x01" + pair(30, 1) * 2),
        token(b"\x01" + b"".join(pair(tag, 1) for tag in range(65))),
        token(b"\x01" + pair(30, 1)) + "=",
        token(b"\x01" + pair(30, 1)) + "\n",
        " " + token(b"\x01" + pair(30, 1)),
        token(b"\x01" + pair(30, 1)).replace("A", "\u0391"),
        "A" * 1_000_000,
    ],
    ids=lambda wrong: wrong[:30],
)
def test_what_no_watch_returned_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidPayloadError, match="not one that a watch of many tasks returned"):
        CURSORS.read(wrong)


@given(
    st.one_of(st.text(), st.binary().map(token), st.binary().map(lambda raw: token(b"\x01" + raw)))
)
@example("\ud800")
def test_whatever_comes_is_refused_in_words_or_means_one_thing(anything: str) -> None:
    try:
        vector = CURSORS.read(anything)
    except InvalidPayloadError:
        return
    if vector is not None:
        assert CURSORS.read(CURSORS.write(vector)) == vector
