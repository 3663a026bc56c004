"""The gateway's secret: where it comes from, and the keys made of it (design section 8)."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: The setting that gives the secret.
SETTING = "jwt_secret"
#: What HS256 needs (RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32
#: Fewer distinct characters are a pattern that somebody typed, whatever its length.
MIN_DISTINCT = 8
#: What ends as it began for so many bytes was not drawn.
_AGAIN_BYTES = 8
#: Secrets that stand somewhere as a sample, and so in the lists of whoever guesses.
SAMPLES = frozenset(
    {
        b"a-secret-of-the-simulation-that-is-long",
        b"a-secret-of-the-tests-that-is-long-enough",
        b"a-string-secret-at-least-256-bits-long",
        b"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        b"abcdefghijklmnopqrstuvwxyz0123456789",
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    }
)
#: Where in the data directory a gateway keeps the secret that it made.
SECRET_FILE = "jwt-secret"  # noqa: S105 - a file's name

_KEY_BYTES = 32
_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes one; set it"


class SecretError(Exception):
    """There is no secret, or none that is safe; the message says what to do.

    Args:
        text: The message.
        setting: With which setting that is done; empty if with none.
    """

    def __init__(self, text: str, setting: str = "") -> None:
        super().__init__(text)
        self.setting = setting


def load_secret(data_dir: Path, configured: str | None, *, loopback_only: bool) -> bytes:
    """Gives the secret that a gateway runs with: the configured one, or the data directory's.

    Raises:
        SecretError: The secret can be guessed, its file is not safe, or none is configured though
            others than this machine can reach the gateway.
    """
    if configured is None and not loopback_only:
        raise SecretError(
            f"a gateway that listens beyond 127.0.0.1 needs a secret that is set, of "
            f"{MIN_SECRET_BYTES} bytes or more: {_MAKE_ONE}",
            SETTING,
        )
    return read_secret(data_dir, configured)


def read_secret(data_dir: Path, configured: str | None) -> bytes:
    """Gives the configured secret, else the data directory's, made when there is none.

    Processes that come here at once agree on one secret.

    Raises:
        SecretError: The secret can be guessed, or its file is not safe or cannot be had.
    """
    if configured is not None:
        # An environment may hold any bytes; those that are no UTF-8 come as surrogates.
        secret = configured.encode(errors="surrogateescape")
        if fault := _fault(secret):
            raise SecretError(f"the secret {fault}: {_MAKE_ONE}", SETTING)
        return secret
    path = data_dir / SECRET_FILE
    try:
        if not path.exists():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        secret, mode = _read(path)
    except OSError as error:
        text = f"cannot read or make the secret {path}: {error.strerror}"
        raise SecretError(text, "data_dir") from error
    if stat.S_IMODE(mode) & 0o077:
        raise SecretError(f"others may read {path}: chmod 600 it, or delete it for a new one")
    if fault := _fault(secret.strip()):
        raise SecretError(f"the secret in {path} {fault}: delete the file for a new one")
    return secret.strip()


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Makes a key of 32 bytes for one purpose (HKDF-SHA256); it tells nothing of the secret."""
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)


def _fault(secret: bytes) -> str:
    """Tells what makes a secret easy to guess, and nothing of the secret."""
    if len(secret) < MIN_SECRET_BYTES:
        return f"has {len(secret)} bytes and needs {MIN_SECRET_BYTES} or more"
    if len(set(secret)) < MIN_DISTINCT:
        return f"has {len(set(secret))} distinct bytes and needs {MIN_DISTINCT} or more"
    for length in range(1, len(secret) - _AGAIN_BYTES + 1):
        if secret.startswith(secret[length:]):
            return f"says the same {length} bytes again and again"
    if secret.strip() in SAMPLES:
        return "is a sample that everybody can read"
    return ""


def _read(path: Path) -> tuple[bytes, int]:
    """Reads a file; gives its mode, too, which is that of what was read."""
    with path.open("rb") as file:
        return file.read(), os.fstat(file.fileno()).st_mode


def _make(path: Path) -> None:
    """Writes a new secret to ``path``, unless somebody else was faster.

    A link either makes the whole file appear or fails because there is one: nobody ever reads
    half a secret, or two.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
