"""Where the secret comes from, and what is made of it."""

import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import randbits, token_hex, token_urlsafe
from threading import Barrier

import pytest

from inferry.server.access.secret import (
    SAMPLES,
    SecretError,
    derive_key,
    load_secret,
    read_secret,
)

ROOT = Path(__file__).parents[3]

LONG = token_hex(16)
#: ``SECRET = "…"``, ``jwt_secret="…"``, ``INFERRY_JWT_SECRET=…``: a literal, not what computes one.
GIVEN = re.compile(r"""\bsecret\w*["']?\s*[:=]\s*\(?\s*b?["']([^"'$]+)["']""", re.IGNORECASE)
GIVEN_IN_SHELL = re.compile(r"""INFERRY_JWT_SECRET=["']?([^\s"'$`)]+)""")
READ = ("*.md", "*.py", "*.toml", "*.yaml", "*.yml", "*.sh", "*.env", "*.js")


@pytest.mark.parametrize("loopback_only", [True, False])
def test_a_given_secret_is_taken_as_it_is(tmp_path: Path, *, loopback_only: bool) -> None:
    assert load_secret(tmp_path, LONG, loopback_only=loopback_only) == LONG.encode()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given", ["", "short", token_hex(16)[1:]], ids=["empty", "short", "a byte short"]
)
def test_a_short_secret_is_refused_with_a_way_to_make_one(tmp_path: Path, given: str) -> None:
    with pytest.raises(SecretError, match=r"^the secret has .* 32 or more.*token_urlsafe"):
        load_secret(tmp_path, given, loopback_only=True)


def test_bytes_count_and_not_characters(tmp_path: Path) -> None:
    letters = "äöüßéèêëàâîïôœçñ"
    assert read_secret(tmp_path, letters) == letters.encode()


def test_a_secret_may_be_any_bytes(tmp_path: Path) -> None:
    secret = bytes(range(0x80, 0xC0))
    assert read_secret(tmp_path, os.fsdecode(secret)) == secret


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (" " * 40, "has 1 distinct bytes and needs 8"),
        (" \t" * 20, "has 2 distinct bytes and needs 8"),
        ("x" * 40, "has 1 distinct bytes and needs 8"),
        ("changeme" * 5, "has 7 distinct bytes and needs 8"),
        ("0123456789abcdef" * 2, "same 16 bytes again and again"),
        ("my-password-my-password-my-passw", "same 12 bytes again and again"),
        ("your-256-bit-secret-your-256-bit-secret", "same 20 bytes again and again"),
        *((sample.decode(), "is a sample") for sample in sorted(SAMPLES)),
        (f" {min(SAMPLES).decode()}\n", "is a sample"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused_with_a_way_to_make_one(
    tmp_path: Path, given: str, fault: str
) -> None:
    with pytest.raises(SecretError, match=rf"^the secret .*{fault}.*token_urlsafe") as told:
        load_secret(tmp_path, given, loopback_only=True)
    assert given not in str(told.value)


def test_a_kept_secret_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jwt-secret"
    path.touch(0o600)
    path.write_text("x" * 40)
    with pytest.raises(SecretError, match="jwt-secret has 1 distinct"):
        read_secret(tmp_path, None)


@pytest.mark.parametrize("make", [token_urlsafe, token_hex, lambda _: str(randbits(256))])
def test_a_secret_that_was_drawn_is_taken(tmp_path: Path, make: Callable[[int], str]) -> None:
    for _ in range(1_000):
        drawn = make(32)
        assert read_secret(tmp_path, drawn) == drawn.encode()


def test_no_sample_of_ours_is_taken(tmp_path: Path) -> None:
    samples = {
        sample
        for pattern in READ
        for path in ROOT.rglob(pattern)
        if not {".venv", ".venv-proto", ".build", "node_modules"} & set(path.parts)
        for reads in (GIVEN, GIVEN_IN_SHELL)
        for sample in reads.findall(path.read_text())
    }
    assert samples
    for sample in samples:
        with pytest.raises(SecretError):
            read_secret(tmp_path, sample)


def test_beyond_loopback_a_secret_must_be_given(tmp_path: Path) -> None:
    read_secret(tmp_path, None)  # one that was made for loopback does not help
    with pytest.raises(SecretError, match=r"needs a secret that is set, .*token_urlsafe") as told:
        load_secret(tmp_path, None, loopback_only=False)
    assert told.value.setting == "jwt_secret"


def test_on_loopback_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    made = load_secret(data_dir, None, loopback_only=True)
    assert len(made) >= 32
    assert load_secret(data_dir, None, loopback_only=True) == made
    assert read_secret(data_dir, None) == made
    assert [path.name for path in data_dir.iterdir()] == ["jwt-secret"]


def test_nobody_else_may_read_what_is_made(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        read_secret(tmp_path, None)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "jwt-secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    read_secret(tmp_path, None)
    (tmp_path / "jwt-secret").chmod(mode)
    with pytest.raises(SecretError, match="chmod 600"):
        read_secret(tmp_path, None)


def test_a_file_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SecretError, match=f"secret {tmp_path}/file/jwt-secret: File exists"):
        read_secret(tmp_path / "file", None)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jwt-secret"
    path.touch(0o600)
    with pytest.raises(SecretError, match="jwt-secret has 0 bytes"):
        read_secret(tmp_path, None)


def test_a_line_end_in_the_file_is_no_part_of_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "jwt-secret"
    path.touch(0o600)
    path.write_text(f"{LONG}\n")
    assert read_secret(tmp_path, None) == LONG.encode()


def test_all_who_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    starters = 8
    gate = Barrier(starters)

    def start(_: int) -> bytes:
        gate.wait()
        return read_secret(tmp_path, None)

    with ThreadPoolExecutor(starters) as pool:
        assert len(set(pool.map(start, range(starters)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["jwt-secret"]


def test_each_purpose_has_its_own_key_of_32_bytes() -> None:
    keys = {derive_key(secret, purpose) for secret in (b"a", b"b") for purpose in ("x", "y")}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)
    assert derive_key(b"a", "x") in keys


def test_a_derived_key_is_the_same_on_every_replica() -> None:
    # HKDF of RFC 5869 without salt; a change here would break every callback under way.
    assert derive_key(b"\x0b" * 22, "").hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    )
