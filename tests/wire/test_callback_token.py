import json
from urllib.parse import quote

import pytest

from inferry.server.access.callback import CallbackSigner
from inferry.wire.callback_token import redact

URL = CallbackSigner(b"k" * 32, "http://gateway.example.com").url(
    "task_01ARZ3NDEKTSV4RRFFQ69G5FAV", 17, "srv_01ARZ3NDEKTSV4RRFFQ69G5FAV"
)
TOKEN = URL.partition("token=")[2]
MAC = TOKEN.rpartition(".")[2]


@pytest.mark.parametrize(
    "text",
    [
        f"a {URL}, b",
        f"{TOKEN} {TOKEN}",
        f"x{TOKEN}x",
        f"_{TOKEN}",
        f"00{TOKEN}",
        quote(URL, safe=""),
        json.dumps({"request": {"callback_url": URL}}),
        # Gson and System.Text.Json escape more than they must.
        json.dumps(json.dumps({"token": TOKEN})).replace("=", "\\u003d"),
        json.dumps(json.dumps({"token": TOKEN})).replace('\\"', "\\u0022"),
        *(URL[:-cut] for cut in range(1, len(MAC))),
    ],
)
def test_our_own_tokens_are_taken_out_wherever_they_stand(text: str) -> None:
    redacted = redact(text.encode()).decode()
    assert not any(MAC[at : at + 4] in redacted for at in range(20))
    assert "[callback token]" in redacted
    if text.startswith('"'):
        json.loads(redacted)


def test_nothing_but_the_token_is_taken_out() -> None:
    url, _, token = URL.partition("?token=")
    assert redact(URL.encode()).decode() == f"{url}?token={token[: -len(MAC)]}[callback token]"


@pytest.mark.parametrize(
    "text", [b"", b"1.srv_2.3", b'{"server":"1.srv_01ARZ3NDEKTSV4RRFFQ69G5FAV"}']
)
def test_other_texts_stay_as_they_are(text: bytes) -> None:
    assert redact(text) == text
