"""Where a gateway is: its data, its addresses, its log."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from inferry.server.config.paths import absolute

Port = Annotated[int, Field(ge=0, le=65_535)]
Level = Literal["debug", "info", "warning", "error"]


def _default_data_dir() -> Path:
    """Tells where data lives for a user, by the XDG base directory specification."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "inferry"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class GatewaySettings(BaseModel):
    """What is said first."""

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

    @field_validator("data_dir")
    @classmethod
    def _absolute_data_dir(cls, path: Path) -> Path:
        return absolute(path)

    @field_validator("public_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        # What urlsplit would leave out, or take for a host.
        if not url.isprintable() or " " in url:
            raise ValueError("expected a URL without spaces and control characters")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected an http or https URL, such as https://gateway.example.com")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("expected a URL without user, query and fragment")
        return url.rstrip("/")


class ProcessSettings(BaseModel):
    """How it stops, and what it tells of itself."""

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
    log_calls: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="Calls that went well and have a line in the log, a second at most; those "
        "beyond it are at `debug`. Failed ones always have one.",
    )
