"""Which tokens hold, for whom, and for how long."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
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

from inferry.server.access.keys import KeySource, PemKey, SecretKey, VerificationKey
from inferry.server.access.tokens import Principal, Role, TokenVerifier, issue_token
from inferry.server.errors import UnauthenticatedError
from tests.server.token_rules import TOKEN_RULES

SECRET = b"s" * 32
NOW_MS = 1_700_000_000_000
NOW_S = NOW_MS // 1_000
GOOD = b'{"sub":"me","exp":%d,"role":"client"}' % (NOW_S + 60)

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
    return TokenVerifier(SecretKey(SECRET), SetClock(), replace(TOKEN_RULES, **given))


def keyed(keys: KeySource, **given: Any) -> TokenVerifier:
    return TokenVerifier(keys, SetClock(), TOKEN_RULES, **given)


def signed(secret: bytes = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    wanted = {"sub": "me", "exp": NOW_S + 60, "role": "client"} | claims
    present = {name: value for name, value in wanted.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)


def part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed_text(claims: bytes, headers: dict[str, Any] | None = None) -> str:
    """Signs claims that a JSON library would not write."""
    return jwt.PyJWS().encode(claims, SECRET, "HS256", headers)


def signed_header(header: bytes) -> str:
    """Signs a header that a JSON library would not write."""
    segments = [base64.urlsafe_b64encode(text).rstrip(b"=") for text in (header, GOOD)]
    mac = hmac.digest(SECRET, b".".join(segments), "sha256")
    return b".".join([*segments, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


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
        ({"sub": ""}, "'sub' must be a text, not empty"),
        ({"tenant": ""}, "'tenant' must be a text, not empty"),
        ({"tenant": 7}, "'tenant' must be a text, not empty"),
        *(
            ({name: f"me{control}"}, f"'{name}' must be a text.*without control characters")
            for name in ("sub", "tenant")
            for control in ("\0", "\n", "\x1b[2J", "\x7f", "\x85", "\u2028")
        ),
        ({"exp": NOW_S - 60}, "expired"),
        ({"nbf": NOW_S + 60}, "not valid yet"),
        ({"iat": NOW_S + 60}, "not valid yet"),
        ({"exp": "tomorrow"}, "'exp' must be a time"),
        ({"exp": True}, "'exp' must be a time"),
        ({"exp": float("nan")}, "claims must be a JSON object"),
        ({"exp": float("inf")}, "claims must be a JSON object"),
        ({"exp": 10**400}, "claims must be a JSON object"),
        ({"exp": 10**300}, "'exp' must be a time"),
        ({"nbf": [1]}, "'nbf' must be a time"),
        ({"aud": "another"}, "another audience"),
        ({"aud": ""}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": {}}, "another audience"),
    ],
)
def test_a_token_with_wrong_claims_is_refused(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnauthenticatedError, match=reason):
        verifier().verify(signed(**claims))


@pytest.mark.parametrize(
    ("claim", "reason"),
    [("sub", "'sub'"), ("tenant", "'tenant'"), ("aud", "audience"), ("iss", "issuer")],
)
def test_a_claim_that_is_null_is_refused(claim: str, reason: str) -> None:
    claims = {"sub": "me", "exp": NOW_S + 60, "iss": "us", claim: None}
    with pytest.raises(UnauthenticatedError, match=reason):
        verifier(issuer="us").verify(signed_text(json.dumps(claims).encode()))


@pytest.mark.parametrize(
    "claims",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        GOOD.decode().encode("utf-16-le"),
        GOOD.decode().encode("utf-32"),
        GOOD.replace(b"me", b"m\xe4"),
        GOOD.replace(b"me", b"m\xed\xa0\x80"),
        GOOD.replace(b"me", rb"m\ud800"),
        GOOD.replace(b"me", rb"m\udc00\ud800"),
        GOOD.replace(b"}", rb',"tenant":"\udfff"}'),
        b"[%b]" % GOOD,
        b'"me"',
        b"",
        b"{" * 3_000,
    ],
)
def test_claims_are_a_json_object_in_utf_8_and_nothing_else(claims: bytes) -> None:
    assert verifier().verify(signed_text(GOOD)).subject == "me"
    with pytest.raises(UnauthenticatedError, match="claims must be a JSON object in UTF-8"):
        verifier().verify(signed_text(claims))


@pytest.mark.parametrize(
    "header",
    [
        b'\xef\xbb\xbf{"alg":"HS256"}',
        '{"alg":"HS256"}'.encode("utf-16-le"),
        rb'{"alg":"HS256","kid":"\ud800"}',
        b"[" * 3_000,
        b'"HS256"',
    ],
)
def test_a_header_is_a_json_object_in_utf_8_and_nothing_else(header: bytes) -> None:
    assert verifier().verify(signed_header(b'{"alg":"HS256"}')).subject == "me"
    with pytest.raises(UnauthenticatedError, match="header must be a JSON object in UTF-8"):
        verifier().verify(signed_header(header))


def test_a_name_may_be_in_any_script() -> None:
    who = verifier().verify(signed(sub="Пётр 🛶", tenant="株式会社"))
    assert who == Principal("Пётр 🛶", "株式会社", frozenset({Role.CLIENT}))


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
        keyed(PemKey(public)).verify(confused)


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "a.b.c", "....", "Bearer x", signed() + "x", signed().rpartition(".")[0]],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(UnauthenticatedError, match="token"):
        verifier().verify(token)


@pytest.mark.parametrize("token", ["a" * (TOKEN_RULES.limit + 1), "ä.b.c", "\udcff.b.c"])
def test_what_cannot_be_a_token_is_refused_unread(token: str) -> None:
    keys = CountingKey()
    with pytest.raises(UnauthenticatedError, match="ASCII text of 8192 characters at most"):
        keyed(keys).verify(token)
    assert keys.asked == 0


def test_how_long_a_token_may_be_is_a_setting() -> None:
    token = signed()
    assert verifier(limit=len(token)).verify(token).subject == "me"
    with pytest.raises(UnauthenticatedError, match=f"{len(token) - 1} characters at most"):
        verifier(limit=len(token) - 1).verify(token)


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
    held = keyed(PemKey(pem(private)))
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
    held = TokenVerifier(keys, clock, TOKEN_RULES)
    token = issue_token(SECRET, "me", Role.CLIENT, None, 60, NOW_MS)
    clock.ms = NOW_MS + 60_000 + TOKEN_RULES.leeway_ms - 1
    held.verify(token)
    clock.ms += 1
    for _ in range(2):  # remembered, then forgotten
        with pytest.raises(UnauthenticatedError, match="expired"):
            held.verify(token)


@pytest.mark.parametrize("leeway_s", [0, 5, 600])
def test_the_clocks_of_issuers_may_be_off_by_the_leeway(leeway_s: int) -> None:
    lenient = verifier(leeway_ms=leeway_s * 1_000)
    soon, past = NOW_S + leeway_s, NOW_S - leeway_s
    assert lenient.verify(signed(nbf=soon, iat=soon, exp=past + 1)).subject == "me"
    for token in (signed(nbf=soon + 1), signed(iat=soon + 1), signed(exp=past)):
        with pytest.raises(UnauthenticatedError, match=r"not valid yet|expired"):
            lenient.verify(token)


def test_times_may_have_fractions() -> None:
    assert verifier().verify(signed(exp=NOW_S + 0.5, nbf=NOW_S - 0.5)).subject == "me"


def test_a_remembered_token_is_not_checked_again() -> None:
    keys = CountingKey()
    held = keyed(keys)
    assert held.verify(signed()) is held.verify(signed())
    assert keys.asked == 1


def test_a_refused_token_is_not_remembered() -> None:
    keys = CountingKey()
    held = keyed(keys)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            held.verify(signed(b"x" * 32))
    assert keys.asked == 2


def test_the_longest_unused_token_is_forgotten_first() -> None:
    keys = CountingKey()
    held = keyed(keys, cache_size=2)
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
