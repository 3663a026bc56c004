"""Who may call: the secret and the tokens."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator

from inferry.server.config.paths import absolute


class AccessSettings(BaseModel):
    """What a token has to be."""

    jwt_secret: SecretStr | None = Field(
        default=None,
        description="Secret that tokens are signed with (HS256), 32 bytes at least; "
        "unset makes one in the data directory, on loopback only.",
    )
    jwt_public_key: Path | None = Field(
        default=None,
        description="PEM file of the public key that tokens are verified with "
        "(RS256, ES256, EdDSA).",
    )
    jwt_issuer: str | None = Field(default=None, description="`iss` that tokens must have.")
    jwt_audience: str | None = Field(
        default=None,
        description="`aud` that tokens must have; unset refuses a token that has one.",
    )
    jwt_leeway_ms: int = Field(
        default=5_000,
        ge=0,
        le=600_000,
        description="How far the clocks of whoever issues tokens may be off.",
    )
    jwt_token_limit: int = Field(
        default=8_192,
        ge=256,
        le=65_536,
        description="Longest token, in characters; over REST `header_limit_bytes` bounds it, too.",
    )
    backend_tokens: bool = Field(
        default=True,
        description="Whether calls of HTTP servers carry a token that tells them who calls; its "
        "public key is at `/.well-known/jwks.json`.",
    )

    @field_validator("jwt_public_key")
    @classmethod
    def _absolute_key(cls, path: Path | None) -> Path | None:
        return None if path is None else absolute(path)
