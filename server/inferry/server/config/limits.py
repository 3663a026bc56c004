"""How much there may be: of tasks that wait, and of what they hold."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from inferry.wire.limits import DEPTH, ENVELOPE_BYTES, REQUEST_BYTES, RESULT_BYTES

_MIB = 1024 * 1024

Weight = Annotated[float, Field(ge=0.01, le=100)]


class LimitSettings(BaseModel):
    """The bounds of a queue and of messages."""

    queue_limit: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Tasks that may wait in the gateway."
    )
    queue_limit_per_tenant: int = Field(
        default=1_000, ge=1, le=10_000_000, description="Tasks that may wait for one tenant."
    )
    queue_window: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Waiting tasks that are kept in memory, in fair shares of their types and "
        "tenants; the others stay in the store until it is nearly their turn.",
    )
    tenant_weights: Mapping[str, Weight] = Field(
        default={},
        description="Turns in the queue that a tenant gets for each one of another, "
        '0.01 to 100: `{acme = 3}` in the file, `{"acme":3}` in the environment.',
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

    @property
    def message_limit_bytes(self) -> int:
        """The largest message of gRPC: a task with the largest payload and the largest result."""
        return self.request_limit_bytes + self.result_limit_bytes + ENVELOPE_BYTES
