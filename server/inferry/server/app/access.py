"""Who may call: the secret, the keys of tokens, and the rules for them, from the settings."""

from pathlib import Path

from inferry.server.access.backend_tokens import BackendTokens
from inferry.server.access.codes import TokenMaker
from inferry.server.access.keys import KeySource, PemKey, SecretKey
from inferry.server.access.secret import SecretError, load_secret, read_secret
from inferry.server.access.tokens import TokenVerifier
from inferry.server.app.rules import token_rules
from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.wire.hosts import is_loopback


def make_data_dir(path: Path) -> None:
    """Makes the data directory, for its owner alone.

    Raises:
        OSError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OSError(f"cannot make the data directory {path}: {error.strerror}") from error


def load_keys(config: Config) -> tuple[bytes, KeySource]:
    """Finds or makes the secret; returns it, and the key that tokens are verified with.

    Raises:
        SecretError: There is none that would do.
    """
    text = config.jwt_secret.get_secret_value() if config.jwt_secret else None
    if config.jwt_public_key is not None:
        return read_secret(config.data_dir, text), _public_key(config.jwt_public_key)
    secret = load_secret(config.data_dir, text, loopback_only=is_loopback(config.host))
    return secret, SecretKey(secret)


def new_verifier(config: Config, keys: KeySource, wall: Clock) -> TokenVerifier:
    """Makes what verifies tokens."""
    return TokenVerifier(keys, wall, token_rules(config))


def new_token_maker(config: Config, secret: bytes, wall: Clock) -> TokenMaker | None:
    """Makes what makes tokens that the gateway takes; None where others sign them."""
    if config.jwt_public_key is not None:
        return None
    return TokenMaker(secret, config.jwt_issuer, config.jwt_audience, wall)


def new_backend_tokens(
    config: Config, secret: bytes, public_url: str, wall: Clock
) -> BackendTokens | None:
    """Makes what tells servers who calls; None if they are not told."""
    return BackendTokens(secret, public_url, wall) if config.backend_tokens else None


def _public_key(path: Path) -> PemKey:
    try:
        return PemKey(path.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SecretError(
            f"cannot use the public key {path}: {why}; name a PEM file", "jwt_public_key"
        ) from None
