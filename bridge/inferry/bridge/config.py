"""The bridge's settings: one frozen object, validated once, handed down.

Names that the server's settings have too mean the same there.
"""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from inferry.wire.limits import REQUEST_BYTES, RESULT_BYTES

_MIB = 1024 * 1024
#: Scheme and host, of whichever kind: pages may come from an extension or an app, too.
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\s/,?#@\"']+", re.ASCII)
_SAMPLE = "https://app.example.com"

Level = Literal["debug", "info", "warning", "error"]
Wait = Annotated[int, Field(ge=1, le=3_600_000)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class BridgeConfig(BaseSettings):
    """Everything that can be set about the bridge.

    Raises:
        ValidationError: A value is out of its bounds, or a name is unknown.
    """

    model_config = SettingsConfigDict(
        env_prefix="INFERRY_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    host: str = Field("127.0.0.1", description="Address that REST listens on.")
    port: int = Field(8787, ge=0, le=65_535, description="Port of REST; 0 takes a free one.")
    public_url: str | None = Field(
        None, description="Where REST is reached from outside; links keep its path."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins whose pages may call, separated by commas; `*` for all."
    )

    web: bool = Field(True, description="Whether the web page is served, at `/ui/`.")
    web_hide_payload: bool = Field(
        False, description="Whether the web page shows neither payloads nor results."
    )

    request_limit_bytes: int = Field(
        REQUEST_BYTES,
        ge=1_024,
        le=64 * _MIB,
        description="Largest request to create or register.",
    )
    result_limit_bytes: int = Field(
        RESULT_BYTES,
        ge=1_024,
        le=64 * _MIB,
        description="Largest result of a task, its details counted in. With the default, any gRPC "
        "client can read the largest task.",
    )
    header_limit_bytes: int = Field(
        16_384, ge=256, le=_MIB, description="Longest request line, and longest header."
    )
    header_limit: int = Field(128, ge=8, le=10_000, description="Headers of a request, at most.")

    header_timeout_ms: Wait = Field(
        10_000, description="From the connection, or the first byte, to the end of the headers."
    )
    body_timeout_ms: Wait = Field(
        30_000, description="From the end of the headers to the end of the body."
    )
    keepalive_timeout_ms: Wait = Field(
        75_000,
        description="How long a connection may be idle between two requests, and a client take "
        "nothing of its answer.",
    )
    sse_keepalive_ms: Wait = Field(
        15_000, description="Between two comments that keep a stream of events open."
    )

    metrics: bool = Field(
        True, description="Whether the gateway counts what it does, and tells it at `/metrics`."
    )

    log_format: Annotated[Literal["auto", "pretty", "json"], BeforeValidator(_lower)] = Field(
        "auto", description="`auto` is `pretty` on a terminal, else `json`."
    )
    log_level: Annotated[Level, BeforeValidator(_lower)] = Field(
        "info", description="Least severe level that is logged."
    )

    @property
    def path_prefix(self) -> str:
        """What stands before ``/api`` in the paths of links; empty when nothing does."""
        path = URL(self.public_url or "").raw_path.strip("/")
        return f"/{path}" if path else ""

    @field_validator("public_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is not None and (URL(url).scheme not in {"http", "https"} or not URL(url).host):
            raise ValueError("expected an http or https URL, such as https://gateway.example.com")
        return url

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, origins: object) -> object:
        if isinstance(origins, str):
            return tuple(part.strip() for part in origins.split(",") if part.strip())
        return origins

    @field_validator("cors_origins")
    @classmethod
    def _as_browsers_send_them(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"expected * or origins such as {_SAMPLE}, without a path")
        return origins
