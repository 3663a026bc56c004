"""The server's settings: one frozen object, validated once, handed down.

What is not given comes from the environment (``INFERRY_`` and the field's name in upper case),
then from the defaults. Flags and the settings file join in ``inferry.cli.settings``. The defaults
are the numbers of design section 6.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from inferry.wire.hosts import is_everywhere
from inferry.wire.limits import DEPTH, ENVELOPE_BYTES, REQUEST_BYTES, RESULT_BYTES

_DAY_MS = 86_400_000
_MIB = 1024 * 1024

Port = Annotated[int, Field(ge=0, le=65_535)]
Timeout = Annotated[int, Field(ge=1, le=_DAY_MS)]
Weight = Annotated[float, Field(ge=0.01, le=100)]
Level = Literal["debug", "info", "warning", "error"]


def _default_data_dir() -> Path:
    """Tells where data lives for a user, by the XDG base directory specification."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "inferry"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Config(BaseSettings):
    """Everything that can be set about the server.

    Raises:
        ValidationError: A value is out of its bounds, or a name is unknown.
    """

    model_config = SettingsConfigDict(
        env_prefix="INFERRY_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Directory of the database and the generated secret.",
    )
    host: str = Field(default="127.0.0.1", description="Address that REST and gRPC listen on.")
    port: Port = Field(default=8787, description="Port of REST; 0 takes a free one.")
    grpc_port: Port = Field(default=50051, description="Port of gRPC; 0 takes a free one.")
    public_url: str | None = Field(
        default=None,
        description="Where backends reach the gateway; unset for `http://HOST:PORT`.",
    )

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

    sync_timeout_ms: Timeout = Field(
        default=30_000, description="Attempt timeout of a task that its creator waits for."
    )
    async_timeout_ms: Timeout = Field(
        default=300_000, description="Attempt timeout of an asynchronous task."
    )
    grace_ms: int = Field(
        default=2_000,
        ge=0,
        le=60_000,
        description="Waited beyond an attempt's timeout, so that a backend's own TIMEOUT wins.",
    )
    cancel_grace_ms: int = Field(
        default=10_000,
        ge=0,
        le=600_000,
        description="How long a stopped attempt keeps its slot if its server confirms nothing.",
    )
    restart_grace_ms: int = Field(
        default=15_000,
        ge=0,
        le=600_000,
        description="After a start, no deadline of before ends a task for so long.",
    )
    queue_timeout_ms: Timeout = Field(
        default=300_000, description="How long a task may wait for a server."
    )
    silence_timeout_ms: int = Field(
        default=0,
        ge=0,
        le=_DAY_MS,
        description="How long a server may say nothing of a task it runs; 0 is for ever.",
    )
    total_timeout_ms: int = Field(
        default=_DAY_MS,
        ge=1_000,
        le=7 * _DAY_MS,
        description="From creation or retry to a final status, at most.",
    )
    max_attempts: int = Field(default=3, ge=1, le=100, description="Attempts of a task, at most.")

    probe_interval_ms: int = Field(
        default=10_000, ge=100, le=3_600_000, description="Between two health probes of a server."
    )
    probe_timeout_ms: int = Field(
        default=5_000, ge=10, le=60_000, description="How long a health probe may take."
    )
    lease_ms: int = Field(
        default=15_000,
        ge=500,
        le=3_600_000,
        description="How long a server keeps its attempts without a sign of life; "
        "one with attempts is probed three times in it.",
    )
    forget_after_ms: int = Field(
        default=_DAY_MS,
        ge=0,
        le=365 * _DAY_MS,
        description="After how long without a sign of life a server that is offline is taken out "
        "of the list; 0 never does.",
    )
    breaker_failures: int = Field(
        default=3, ge=1, le=1_000, description="Connection failures in a row that open a breaker."
    )
    breaker_percent: int = Field(
        default=50,
        ge=0,
        le=100,
        description="More than this share of failed calls opens a breaker; 100 never does.",
    )
    breaker_calls: int = Field(
        default=5, ge=1, le=100, description="Calls from which on that share counts."
    )
    breaker_window_ms: int = Field(
        default=60_000, ge=1_000, le=3_600_000, description="Older calls do not count."
    )
    breaker_open_ms: int = Field(
        default=5_000,
        ge=10,
        le=3_600_000,
        description="How long a breaker is open at first; each failed trial doubles it.",
    )
    breaker_longest_ms: int = Field(
        default=60_000, ge=10, le=3_600_000, description="How long a breaker is open at most."
    )

    rest_longest_ms: int = Field(
        default=300_000,
        ge=100,
        le=_DAY_MS,
        description="How long a server that answers 429 or 503 is left alone at most, "
        "whatever its `Retry-After` says.",
    )

    queue_limit: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Tasks that may wait in the gateway."
    )
    queue_limit_per_tenant: int = Field(
        default=1_000, ge=1, le=10_000_000, description="Tasks that may wait for one tenant."
    )
    tenant_weights: Mapping[str, Weight] = Field(
        default={},
        description="Turns in the queue that a tenant gets for each one of another, "
        '0.01 to 100: `{acme = 3}` in the file, `{"acme":3}` in the environment.',
    )

    keep_done_ms: int = Field(
        default=_DAY_MS,
        ge=1_000,
        le=3_650 * _DAY_MS,
        description="Retention of COMPLETED and CANCELLED tasks.",
    )
    keep_failed_ms: int = Field(
        default=7 * _DAY_MS,
        ge=1_000,
        le=3_650 * _DAY_MS,
        description="Retention of FAILED and TIMEOUT tasks.",
    )
    tombstone_ms: int = Field(
        default=_DAY_MS,
        ge=0,
        le=365 * _DAY_MS,
        description="How long a purged task's id is still answered with 410.",
    )

    request_limit_bytes: int = Field(
        default=REQUEST_BYTES,
        ge=1_024,
        le=64 * _MIB,
        description="Largest request to create or register.",
    )
    result_limit_bytes: int = Field(
        default=RESULT_BYTES,
        ge=1_024,
        le=64 * _MIB,
        description="Largest result of a task, its details counted in. With the default, any gRPC "
        "client can read the largest task.",
    )
    json_depth_limit: int = Field(
        default=DEPTH,
        ge=1,
        le=500,
        description="How deep objects and arrays nest in a payload, a result or details.",
    )

    shutdown_grace_ms: int = Field(
        default=20_000,
        ge=0,
        le=600_000,
        description="How long calls may take to end when it stops.",
    )
    reflection: bool = Field(default=False, description="Whether gRPC describes itself to anyone.")
    log_format: Annotated[Literal["auto", "pretty", "json"], BeforeValidator(_lower)] = Field(
        default="auto", description="`auto` is `pretty` on a terminal, else `json`."
    )
    log_level: Annotated[Level, BeforeValidator(_lower)] = Field(
        default="info", description="Least severe level that is logged."
    )

    @property
    def message_limit_bytes(self) -> int:
        """The largest message of gRPC: a task with the largest payload and the largest result."""
        return self.request_limit_bytes + self.result_limit_bytes + ENVELOPE_BYTES

    @field_validator("data_dir", "jwt_public_key")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("public_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected an http or https URL, such as https://gateway.example.com")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("expected a URL without user, query and fragment")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if is_everywhere(self.host) and self.public_url is None:
            raise ValueError(
                f"backends cannot call back to {self.host or 'an empty address'}: set "
                "INFERRY_PUBLIC_URL (or --public-url, or public_url in the file) to the URL "
                "where they reach the gateway"
            )
        return self
