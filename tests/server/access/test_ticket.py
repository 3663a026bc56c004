"""Tickets: who may watch one task, and for how long."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.access.ticket import TicketSigner
from inferry.server.errors import UnauthenticatedError

KEY = b"k" * 32
TASK = "task_01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOW_MS = 1_764_140_400_000


class Clock:
    def __init__(self, now_ms: int = NOW_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


SIGNER = TicketSigner(KEY, Clock())
TICKET = SIGNER.ticket(TASK, NOW_MS + 60_000)


def test_a_ticket_tells_how_long_it_holds() -> None:
    assert SIGNER.left_s(TASK, TICKET) == 60
    later = TicketSigner(KEY, Clock(NOW_MS + 59_999))
    assert later.left_s(TASK, TICKET) == 0.001


def test_a_ticket_needs_no_escaping_in_a_url() -> None:
    tickets = "".join(SIGNER.ticket(TASK, NOW_MS + n) for n in range(100))
    assert set(tickets) <= set(string.ascii_letters + string.digits + "-._~")


def test_every_gateway_with_the_key_verifies_and_no_other() -> None:
    assert TicketSigner(KEY, Clock()).left_s(TASK, TICKET) == 60
    with pytest.raises(UnauthenticatedError, match="did not make it"):
        TicketSigner(b"x" * 32, Clock()).left_s(TASK, TICKET)


@pytest.mark.parametrize("after_ms", [60_000, 60_001, 10**9])
def test_one_whose_time_is_over_is_told_so(after_ms: int) -> None:
    with pytest.raises(UnauthenticatedError, match="has expired: ask for a new one"):
        TicketSigner(KEY, Clock(NOW_MS + after_ms)).left_s(TASK, TICKET)


def test_a_ticket_is_for_one_task_alone() -> None:
    with pytest.raises(UnauthenticatedError, match="not for this task"):
        SIGNER.left_s("task_01ARZ3NDEKTSV4RRFFQ69G5FAX", TICKET)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        str(NOW_MS + 60_000),
        f"{NOW_MS + 60_000}.",
        TICKET.replace(str(NOW_MS + 60_000), str(NOW_MS + 60_001)),
        TICKET[:-1],
        TICKET + "A",
        TICKET + "=",
        "0" + TICKET,
        "+" + TICKET,
        " " + TICKET,
        "-" + TICKET,
        "٣" + TICKET[1:],
        "²" + TICKET[1:],
        "9" * 5_000 + TICKET,
        TICKET + "a" * 10_000,
        TICKET + "\udcff",
    ],
)
def test_what_was_tampered_with_is_refused_and_not_called_expired(forged: str) -> None:
    with pytest.raises(UnauthenticatedError, match="not for this task"):
        SIGNER.left_s(TASK, forged)


@given(st.text())
def test_no_text_for_a_task_or_a_ticket_does_harm(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        SIGNER.left_s(text, TICKET)
    with pytest.raises(UnauthenticatedError):
        SIGNER.left_s(TASK, text)


@given(st.data())
def test_a_changed_character_anywhere_breaks_it(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TICKET) - 1))
    other = data.draw(st.characters().filter(lambda letter: letter != TICKET[place]))
    with pytest.raises(UnauthenticatedError):
        SIGNER.left_s(TASK, TICKET[:place] + other + TICKET[place + 1 :])


def test_a_refusal_does_not_quote_the_ticket() -> None:
    with pytest.raises(UnauthenticatedError) as refusal:
        SIGNER.left_s("task_other", TICKET)
    assert TICKET.partition(".")[2] not in str(refusal.value)
