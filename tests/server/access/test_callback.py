"""Callback URLs: who may report on what."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.access.callback import CallbackRight, CallbackSigner
from inferry.server.errors import UnauthenticatedError

KEY = b"k" * 32
TASK = "task_01ARZ3NDEKTSV4RRFFQ69G5FAV"
SERVER = "srv_01ARZ3NDEKTSV4RRFFQ69G5FAW"
SIGNER = CallbackSigner(KEY, "http://127.0.0.1:8787")


def token(attempt: int = 1, signer: CallbackSigner = SIGNER, server_id: str = SERVER) -> str:
    return signer.url(TASK, attempt, server_id).partition("?token=")[2]


@pytest.mark.parametrize("public_url", ["https://inferry.example", "https://inferry.example/"])
def test_the_url_is_the_tasks_own(public_url: str) -> None:
    url = CallbackSigner(KEY, public_url).url(TASK, 1, SERVER)
    assert url.startswith(f"https://inferry.example/api/tasks/{TASK}?token=1.{SERVER}.")


def test_the_token_needs_no_escaping() -> None:
    tokens = "".join(token(attempt) for attempt in range(1, 100))
    assert set(tokens) <= set(string.ascii_letters + string.digits + "-._~")


@given(st.integers(1, 999_999_999))
def test_a_token_gives_back_what_it_was_made_for(attempt: int) -> None:
    assert SIGNER.verify(TASK, token(attempt)) == CallbackRight(attempt, SERVER)


def test_every_gateway_with_the_key_verifies() -> None:
    other = CallbackSigner(KEY, "http://elsewhere")
    assert other.verify(TASK, token()) == CallbackRight(1, SERVER)


def test_a_token_is_of_one_task_only() -> None:
    with pytest.raises(UnauthenticatedError, match="does not belong"):
        SIGNER.verify("task_01ARZ3NDEKTSV4RRFFQ69G5FAX", token())


def test_another_key_does_not_hold() -> None:
    with pytest.raises(UnauthenticatedError):
        SIGNER.verify(TASK, token(signer=CallbackSigner(b"x" * 32, "http://h")))


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "..",
        "1",
        f"1.{SERVER}",
        f"1.{SERVER}.",
        token().replace("1.", "2.", 1),
        token().replace(SERVER, SERVER[:-1] + "X"),
        token()[:-1],
        token() + "A",
        token() + "=",
        "0" + token(),
        "+" + token(),
        " " + token(),
        "-" + token(),
        "٣" + token()[1:],
        "²" + token()[1:],
        "9" * 5_000 + token()[1:],
        token() + "a" * 10_000,
        token() + "ä",
        token() + "\udcff",
    ],
)
def test_what_was_tampered_with_is_refused(forged: str) -> None:
    with pytest.raises(UnauthenticatedError):
        SIGNER.verify(TASK, forged)


@given(st.text())
def test_no_text_for_a_task_or_a_token_does_harm(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        SIGNER.verify(text, token())
    with pytest.raises(UnauthenticatedError):
        SIGNER.verify(TASK, text)


@given(st.data())
def test_a_changed_character_anywhere_breaks_the_token(data: st.DataObject) -> None:
    real = token(12)
    place = data.draw(st.integers(0, len(real) - 1))
    other = data.draw(st.characters().filter(lambda letter: letter != real[place]))
    with pytest.raises(UnauthenticatedError):
        SIGNER.verify(TASK, real[:place] + other + real[place + 1 :])


def test_what_belongs_to_the_task_cannot_move_into_the_server() -> None:
    # The same characters in the same order, cut elsewhere.
    mac = SIGNER.url("task_ab", 1, "cd").rpartition(".")[2]
    with pytest.raises(UnauthenticatedError):
        SIGNER.verify("task_a", f"1.bcd.{mac}")


def test_a_refusal_does_not_quote_the_token() -> None:
    with pytest.raises(UnauthenticatedError) as refusal:
        SIGNER.verify("task_other", token())
    assert token() not in str(refusal.value)
