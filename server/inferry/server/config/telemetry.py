"""What is told of the gateway to those who watch over it."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

Names = Annotated[tuple[str, ...], NoDecode, Field(max_length=200)]


class TelemetrySettings(BaseModel):
    """What is counted, and who may see it."""

    metrics: bool = Field(
        default=True,
        description="Whether the gateway counts what it does, and tells it at `/metrics`.",
    )
    metrics_open: bool = Field(
        default=False,
        description="Whether anybody may read `/metrics`; else it takes an admin's token.",
    )
    metrics_types: Names = Field(
        default=(),
        description="Types that are counted by name before a server is capable of them, "
        "separated by commas.",
    )
    metrics_tenants: Names = Field(
        default=(),
        description="Tenants whose tasks are counted by name, separated by commas; "
        "unset counts none by tenant.",
    )

    traces: bool = Field(
        default=False,
        description="Whether spans of tasks are sent by OTLP, to where the `OTEL_` variables say; "
        "needs `inferry[otel]`.",
    )

    @field_validator("metrics_types", "metrics_tenants", mode="before")
    @classmethod
    def _split(cls, names: object) -> object:
        if isinstance(names, str):
            return tuple(part.strip() for part in names.split(",") if part.strip())
        return names
