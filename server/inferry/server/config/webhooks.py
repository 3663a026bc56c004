"""The webhooks: where they may be, how much is sent, how long it is kept."""

from collections.abc import Sequence

from pydantic import BaseModel, Field, IPvAnyNetwork

_DAY_MS = 86_400_000


class WebhookSettings(BaseModel):
    """By what webhooks are told."""

    webhook_networks: Sequence[IPvAnyNetwork] = Field(
        default=(),
        description="Private networks in which webhooks may be, besides public addresses: "
        '`["10.0.0.0/8"]`.',
    )
    webhook_limit: int = Field(
        default=20, ge=0, le=1_000, description="Webhooks of a tenant that belong to no task."
    )
    webhook_waiting_limit: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Deliveries that may wait for a webhook: with so many it hears of ends alone, "
        "and with so many after a count it is disabled.",
    )
    webhook_timeout_ms: int = Field(
        default=15_000, ge=100, le=60_000, description="How long a receiver may take to answer."
    )
    webhook_per_host: int = Field(
        default=8, ge=1, le=1_000, description="Deliveries that are on their way to a host at once."
    )
    webhook_at_once: int = Field(
        default=256, ge=2, le=10_000, description="Deliveries that are on their way at once."
    )
    webhook_keep_ms: int = Field(
        default=3 * _DAY_MS,
        ge=1_000,
        le=365 * _DAY_MS,
        description="How long it is kept what was delivered, or given up.",
    )
