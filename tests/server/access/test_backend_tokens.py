"""Tokens that tell servers who calls."""

import base64
import hashlib
from secrets import token_bytes
from typing import Any

import jwt
import orjson
import pytest

from inferry.server.access.backend_tokens import RENEWED_MS, TOKEN_S, BackendTokens
from tests.server.fleets import START_MS, HandClock

SECRET = token_bytes(48)
ISSUER, URL = "https://gateway.example.com/inferry", "http://10.0.0.7:8080"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def tokens(clock: HandClock) -> BackendTokens:
    return BackendTokens(SECRET, f"{ISSUER}/", clock)


def token(tokens: BackendTokens, server_id: str = "srv_a", url: str = URL) -> str:
    scheme, _, token = tokens.headers(server_id, url)["Authorization"].partition(" ")
    assert scheme == "Bearer"
    return token


def claims(token: str, tokens: BackendTokens) -> dict[str, Any]:
    """Verifies a token with the public key alone; its times are those of the tests."""
    public = tokens.public_key
    key = jwt.PyJWK({"kty": "OKP", "crv": "Ed25519", "kid": public.kid, "x": public.x})
    payload = jwt.PyJWS().decode(token, key, algorithms=["EdDSA"])
    return dict(orjson.loads(payload))


def test_a_token_names_who_calls_whom_and_until_when(tokens: BackendTokens) -> None:
    now_s = START_MS // 1_000
    assert claims(token(tokens), tokens) == {
        "iss": ISSUER,
        "aud": URL,
        "sub": "srv_a",
        "iat": now_s,
        "exp": now_s + TOKEN_S,
    }


def test_its_header_names_the_key_and_the_one_algorithm(tokens: BackendTokens) -> None:
    header = jwt.get_unverified_header(token(tokens))
    assert header == {"alg": "EdDSA", "kid": tokens.public_key.kid, "typ": "JWT"}


def test_the_key_is_named_by_its_thumbprint(tokens: BackendTokens) -> None:
    _, x = tokens.public_key
    digest = hashlib.sha256(b'{"crv":"Ed25519","kty":"OKP","x":"%b"}' % x.encode()).digest()
    assert tokens.public_key.kid == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_replicas_with_one_secret_have_one_key_and_another_secret_has_another(
    tokens: BackendTokens, clock: HandClock
) -> None:
    replica = BackendTokens(SECRET, "https://other.example.com", clock)
    assert replica.public_key == tokens.public_key
    assert claims(token(replica), tokens)["iss"] == "https://other.example.com"
    stranger = BackendTokens(SECRET[::-1], ISSUER, clock)
    assert stranger.public_key != tokens.public_key
    with pytest.raises(jwt.InvalidSignatureError):
        claims(token(stranger), tokens)


def test_a_token_is_given_out_for_a_minute_and_then_made_anew(
    tokens: BackendTokens, clock: HandClock
) -> None:
    first = tokens.headers("srv_a", URL)
    clock.ms += RENEWED_MS - 1
    assert tokens.headers("srv_a", URL) is first
    clock.ms += 1
    renewed = token(tokens)
    assert claims(renewed, tokens)["exp"] == claims(renewed, tokens)["iat"] + TOKEN_S
    assert f"Bearer {renewed}" != first["Authorization"]


@pytest.mark.parametrize("by_ms", [-1, -3_600_000, 3_600_000])
def test_a_clock_that_is_set_gives_a_token_of_the_new_time(
    tokens: BackendTokens, clock: HandClock, by_ms: int
) -> None:
    token(tokens)
    clock.ms += by_ms
    assert claims(token(tokens), tokens)["iat"] == (START_MS + by_ms) // 1_000


def test_each_server_has_its_own_also_after_it_moved(tokens: BackendTokens) -> None:
    assert claims(token(tokens, "srv_b"), tokens)["sub"] == "srv_b"
    token(tokens)
    moved = token(tokens, url="http://10.0.0.8:8080")
    assert claims(moved, tokens)["aud"] == "http://10.0.0.8:8080"


def test_no_more_tokens_are_kept_than_a_limit(
    tokens: BackendTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferry.server.access.backend_tokens._REMEMBERED", 3)
    for number in range(8):
        token(tokens, f"srv_{number}")
        assert len(tokens._kept) <= 3
    assert claims(token(tokens, "srv_0"), tokens)["sub"] == "srv_0"
