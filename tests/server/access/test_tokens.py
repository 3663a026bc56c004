"""Which tokens hold, for whom, and for how long."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from inferry.server.access.tokens import (
    LEEWAY_MS,
    MAX_TOKEN_CHARS,
    PemKey,
    Principal,
    Role,
    SecretKey,
    TokenVerifier,
    VerificationKey,
    issue_token,
)
from inferry.server.errors import UnauthenticatedError

SECRET = b"s" * 32
NOW_MS = 1_700_000_000_000
NOW_S = NOW_MS // 1_000

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SetClock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms


class CountingKey:
    """A key source that tells how often a signature was checked."""

    def __init__(self) -> None:
        self.asked = 0

    def key_for(self, _header: Mapping[str, Any], /) -> VerificationKey:
        self.asked += 1
        return VerificationKey(SECRET, ("HS256",))


def verifier(**given: Any) -> TokenVerifier:
    return TokenVerifier(SecretKey(SECRET), SetClock(), **given)


def signed(secret: bytes = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    wanted = {"sub": "me", "exp": NOW_S + 60, "role": "client"} | claims
    present = {name: value for name, value in wanted.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)


def part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_an_issued_token_tells_who_calls() -> None:
    token = issue_token(SECRET, "me", Role.BACKEND, "acme", 60, NOW_MS)
    assert verifier().verify(token) == Principal("me", "acme", frozenset({Role.BACKEND}))


def test_without_a_tenant_the_subject_is_the_tenant() -> None:
    token = issue_token(SECRET, "me", Role.ADMIN, None, 60, NOW_MS)
    assert verifier().verify(token).tenant == "me"


def test_an_issued_token_has_the_issuer_and_the_audience_it_is_given() -> None:
    named = {"issuer": "us", "audience": "inferry"}
    token = issue_token(SECRET, "me", Role.CLIENT, None, 60, NOW_MS, **named)
    assert verifier(**named).verify(token).subject == "me"
    with pytest.raises(UnauthenticatedError, match="issuer"):
        verifier(issuer="them", audience="inferry").verify(token)
    with pytest.raises(UnauthenticatedError, match="another audience"):
        verifier(issuer="us").verify(token)


def test_an_issued_token_names_neither_unasked() -> None:
    token = issue_token(SECRET, "me", Role.CLIENT, None, 60, NOW_MS)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.keys() == {"sub", "role", "iat", "exp"}


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({"role": "admin"}, {Role.ADMIN}),
        ({"role": None, "roles": ["client", "backend"]}, {Role.CLIENT, Role.BACKEND}),
        ({"role": "admin", "roles": ["client"]}, {Role.ADMIN, Role.CLIENT}),
        ({"role": "root"}, set()),
        ({"role": None, "roles": ["root", 7, {}, "client"]}, {Role.CLIENT}),
        ({"role": None, "roles": "admin"}, set()),
        ({"role": ["admin"]}, set()),
        ({"role": None}, set()),
        ({"role": "ADMIN"}, set()),
    ],
)
def test_only_known_roles_count(claims: dict[str, Any], roles: set[Role]) -> None:
    assert verifier().verify(signed(**claims)).roles == roles


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": None}, "no claim 'exp'"),
        ({"sub": None}, "no claim 'sub'"),
        ({"sub": ""}, "'sub' and 'tenant' must be strings"),
        ({"tenant": ""}, "'sub' and 'tenant' must be strings"),
        ({"tenant": 7}, "'sub' and 'tenant' must be strings"),
        ({"exp": NOW_S - 60}, "expired"),
        ({"nbf": NOW_S + 60}, "not valid yet"),
        ({"iat": NOW_S + 60}, "not valid yet"),
        ({"exp": "tomorrow"}, "'exp' must be a time"),
        ({"exp": True}, "'exp' must be a time"),
        ({"exp": float("nan")}, "'exp' must be a time"),
        ({"exp": float("inf")}, "'exp' must be a time"),
        ({"exp": 10**400}, "'exp' must be a time"),
        ({"nbf": [1]}, "'nbf' must be a time"),
        ({"aud": "another"}, "another audience"),
    ],
)
def test_a_token_with_wrong_claims_is_refused(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnauthenticatedError, match=reason):
        verifier().verify(signed(**claims))


def test_a_subject_that_is_no_string_is_refused() -> None:
    token = jwt.api_jws.encode(json.dumps({"sub": 7, "exp": NOW_S + 60}).encode(), SECRET)
    with pytest.raises(UnauthenticatedError, match="'sub' must be a string"):
        verifier().verify(token)


@pytest.mark.parametrize("claims", [{"iss": None}, {"iss": "them"}, {"aud": None}, {"aud": "x"}])
def test_issuer_and_audience_must_be_the_configured_ones(claims: dict[str, Any]) -> None:
    strict = verifier(issuer="us", audience="inferry")
    right: dict[str, Any] = {"iss": "us", "aud": ["other", "inferry"]}
    assert strict.verify(signed(**right)).subject == "me"
    with pytest.raises(UnauthenticatedError, match=r"issuer|audience|'iss'|'aud'"):
        strict.verify(signed(**(right | claims)))


def test_another_key_does_not_hold() -> None:
    with pytest.raises(UnauthenticatedError, match="signature is wrong"):
        verifier().verify(signed(b"x" * 32))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256", "", None, 7])
def test_the_algorithm_is_never_the_tokens_choice(algorithm: Any) -> None:
    claims = part({"sub": "me", "exp": NOW_S + 60, "role": "admin"})
    token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{claims}."
    with pytest.raises(UnauthenticatedError, match="algorithm is not"):
        verifier().verify(token)


def test_a_public_key_is_no_secret_of_hs256() -> None:
    public = pem(ed25519.Ed25519PrivateKey.generate())
    key = base64.b64encode(public)
    confused = signed(key)
    with pytest.raises(UnauthenticatedError, match="algorithm is not"):
        TokenVerifier(PemKey(public), SetClock()).verify(confused)


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "a.b.c", "....", "Bearer x", signed() + "x", signed().rpartition(".")[0]],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(UnauthenticatedError, match="token"):
        verifier().verify(token)


@pytest.mark.parametrize("token", ["a" * (MAX_TOKEN_CHARS + 1), "ä.b.c", "\udcff.b.c"])
def test_what_cannot_be_a_token_is_refused_unread(token: str) -> None:
    keys = CountingKey()
    with pytest.raises(UnauthenticatedError, match="ASCII text of 8192 characters at most"):
        TokenVerifier(keys, SetClock()).verify(token)
    assert keys.asked == 0


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [
        (rsa.generate_private_key(65_537, 2_048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["RS256", "ES256", "EdDSA"],
)
def test_a_public_key_verifies_what_its_private_key_signed(
    private: PrivateKey, algorithm: str
) -> None:
    held = TokenVerifier(PemKey(pem(private)), SetClock())
    claims = {"sub": "me", "exp": NOW_S + 60, "role": "client"}
    assert held.verify(jwt.encode(claims, private, algorithm)).subject == "me"
    with pytest.raises(UnauthenticatedError, match="algorithm is not"):
        held.verify(signed())


@pytest.mark.parametrize(
    "text",
    [
        pem(rsa.generate_private_key(65_537, 1_024)),
        pem(ec.generate_private_key(ec.SECP384R1())),
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
        b"no PEM at all",
    ],
    ids=["short RSA", "other curve", "private", "garbage"],
)
def test_a_key_that_is_weak_or_no_public_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|PEM"):
        PemKey(text)


def test_the_clock_decides_when_a_token_ends_whether_remembered_or_not() -> None:
    clock, keys = SetClock(), CountingKey()
    held = TokenVerifier(keys, clock)
    token = issue_token(SECRET, "me", Role.CLIENT, None, 60, NOW_MS)
    clock.ms = NOW_MS + 60_000 + LEEWAY_MS - 1
    held.verify(token)
    clock.ms += 1
    for _ in range(2):  # remembered, then forgotten
        with pytest.raises(UnauthenticatedError, match="expired"):
            held.verify(token)


def test_the_clocks_of_issuers_may_be_off_by_the_leeway() -> None:
    soon = NOW_S + LEEWAY_MS // 1_000
    assert verifier().verify(signed(nbf=soon, iat=soon, exp=NOW_S - 4)).subject == "me"


def test_times_may_have_fractions() -> None:
    assert verifier().verify(signed(exp=NOW_S + 0.5, nbf=NOW_S - 0.5)).subject == "me"


def test_a_remembered_token_is_not_checked_again() -> None:
    keys = CountingKey()
    held = TokenVerifier(keys, SetClock())
    assert held.verify(signed()) is held.verify(signed())
    assert keys.asked == 1


def test_a_refused_token_is_not_remembered() -> None:
    keys = CountingKey()
    held = TokenVerifier(keys, SetClock())
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            held.verify(signed(b"x" * 32))
    assert keys.asked == 2


def test_the_longest_unused_token_is_forgotten_first() -> None:
    keys = CountingKey()
    held = TokenVerifier(keys, SetClock(), cache_size=2)
    first, second, third = (signed(sub=name) for name in ("first", "second", "third"))
    for token in (first, second, first, third):
        held.verify(token)
    assert keys.asked == 3
    held.verify(first)
    assert keys.asked == 3
    held.verify(second)
    assert keys.asked == 4


def test_a_refusal_does_not_quote_the_token() -> None:
    token = signed(b"x" * 32)
    with pytest.raises(UnauthenticatedError) as refusal:
        verifier().verify(token)
    assert not any(piece in str(refusal.value) for piece in token.split("."))
    assert refusal.value.__suppress_context__
