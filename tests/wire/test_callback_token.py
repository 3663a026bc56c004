import pytest

from inferry.server.access.callback import CallbackSigner
from inferry.server.task.ids import new_server_id, new_task_id
from inferry.wire.callback_token import redact


def test_our_own_tokens_are_taken_out_wherever_they_stand() -> None:
    signer = CallbackSigner(b"k" * 32, "http://gateway.example.com")
    for attempt in (1, 17):
        url = signer.url(new_task_id(), attempt, new_server_id())
        token = url.partition("token=")[2]
        echoed = f'{{"request":{{"callback_url":"{url}"}},"a":"x{token} {token}"}}'.encode()
        assert token.encode() not in redact(echoed).replace(b"x" + token.encode(), b"")
        assert url.partition("?")[0].encode() in redact(echoed)


@pytest.mark.parametrize(
    "text", [b"", b"1.srv_2.3", b'{"server":"1.srv_01ARZ3NDEKTSV4RRFFQ69G5FAV"}']
)
def test_other_texts_stay_as_they_are(text: bytes) -> None:
    assert redact(text) == text
