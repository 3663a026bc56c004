"""A receiver is told whether a message comes from the gateway, and is new."""

import pytest

from inferry.client.webhooks import TOLERANCE_S, NotVerified, verify

#: From the tests of Standard Webhooks' own libraries.
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT_S, BODY = 1614265330, '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
HEADERS = {
    "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(AT_S),
    "WEBHOOK-SIGNATURE": SIGNATURE,
}


def signed(*signatures: str) -> dict[str, str]:
    return {**HEADERS, "WEBHOOK-SIGNATURE": " ".join(signatures)}


@pytest.mark.parametrize("body", [BODY, BODY.encode()])
@pytest.mark.parametrize("secret", [STANDARD, STANDARD.removeprefix("whsec_"), ["YQ==", STANDARD]])
def test_a_message_of_the_standard_is_verified(body: str | bytes, secret: str | list[str]) -> None:
    assert verify(body, HEADERS, secret, now_s=AT_S) == {"test": 2432232314}


@pytest.mark.parametrize(
    "signatures",
    [(OTHER, SIGNATURE), (SIGNATURE, OTHER), ("v1a,abc=", "v1,?", "v2,x", "v1", "", SIGNATURE)],
)
def test_one_signature_of_several_is_enough(signatures: tuple[str, ...]) -> None:
    assert verify(BODY, signed(*signatures), STANDARD, now_s=AT_S)


@pytest.mark.parametrize(
    "signature", [OTHER, SIGNATURE.replace("v1", "v2"), "v1,", "v1a" + SIGNATURE[2:], "v1,ü"]
)
def test_another_signature_is_none(signature: str) -> None:
    with pytest.raises(NotVerified, match="no signature"):
        verify(BODY, signed(signature), STANDARD, now_s=AT_S)


@pytest.mark.parametrize("off_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_an_old_message_is_refused_and_one_from_the_future(off_s: int) -> None:
    with pytest.raises(NotVerified, match="within 300 s"):
        verify(BODY, HEADERS, STANDARD, now_s=AT_S + off_s)
    assert verify(BODY, HEADERS, STANDARD, now_s=AT_S + off_s, tolerance_s=1_000)


def test_the_time_is_that_of_the_machine() -> None:
    with pytest.raises(NotVerified, match="within 300 s"):
        verify(BODY, HEADERS, STANDARD)


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_a_header_that_is_missing_is_named(name: str) -> None:
    rest = {other: value for other, value in HEADERS.items() if other != name}
    with pytest.raises(NotVerified, match=name.lower()):
        verify(BODY, rest, STANDARD, now_s=AT_S)


@pytest.mark.parametrize("sent", ["soon", "-1", "1e9", "١٢"])
def test_a_time_that_is_none_is_refused(sent: str) -> None:
    with pytest.raises(NotVerified, match="no number"):
        verify(BODY, {**HEADERS, "webhook-timestamp": sent}, STANDARD, now_s=AT_S)


@pytest.mark.parametrize("changed", ["Webhook-Id", "webhook-timestamp"])
def test_what_was_signed_cannot_be_changed(changed: str) -> None:
    headers = {**HEADERS, changed: str(AT_S + 1)}
    with pytest.raises(NotVerified, match="no signature"):
        verify(BODY, headers, STANDARD, now_s=AT_S)
    with pytest.raises(NotVerified, match="no signature"):
        verify(BODY + " ", HEADERS, STANDARD, now_s=AT_S)


def test_a_secret_that_is_none_is_an_error_of_the_program_and_not_quoted() -> None:
    with pytest.raises(ValueError, match="whsec_ and base64") as error:
        verify(BODY, HEADERS, "whsec_hush!", now_s=AT_S)
    assert "hush" not in str(error.value)
