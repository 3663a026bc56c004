"""Cursors: what a watch returned is read back, and nothing else."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferry.server.engine.watch.cursors import Cursors
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
def test_a_position_is_read_back_by_who_knows_its_epoch_and_by_nobody_else(
    epoch: Epoch, count: int
) -> None:
    position = epoch.number << POSITION_BITS | count
    written = CURSORS.write(position)
    assert len(written) < 24
    assert CURSORS.read(written) == position
    assert Cursors([Epoch(epoch.number, 5)]).read(written) is None


@pytest.mark.parametrize("position", [0, 5, 2 << POSITION_BITS | 9])
def test_a_position_of_an_epoch_that_is_not_known_any_more_is_the_beginning_of_this_one(
    position: int,
) -> None:
    assert CURSORS.read(CURSORS.write(position)) == 7 << POSITION_BITS


def test_a_cursor_with_the_pairs_of_several_gateways_is_another_stores() -> None:
    assert CURSORS.read(token(b"\x01" + pair(30, 1) + pair(99, 1))) is None
    assert CURSORS.read(token(b"\x01" + b"".join(pair(tag, 1) for tag in range(64)))) is None


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
        position = CURSORS.read(anything)
    except InvalidPayloadError:
        return
    if position is not None:
        assert CURSORS.write(position) == anything
