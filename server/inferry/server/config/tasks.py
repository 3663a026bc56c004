"""The life of a task: its timeouts, its attempts, how long it is kept."""

from typing import Annotated

from pydantic import BaseModel, Field

_DAY_MS = 86_400_000

Timeout = Annotated[int, Field(ge=1, le=_DAY_MS)]


class TaskSettings(BaseModel):
    """What counts for a task whose creator does not say, and for all of them."""

    sync_timeout_ms: Timeout = Field(
        default=30_000,
        description="How long a task may take that its creator waits for, and an attempt of it.",
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
    backoff_first_ms: int = Field(
        default=1_000,
        ge=1,
        le=3_600_000,
        description="Longest wait before a second attempt, drawn at random from 0 on; each attempt "
        "after that doubles it.",
    )
    backoff_longest_ms: int = Field(
        default=30_000, ge=1, le=_DAY_MS, description="What that wait doubles to at most."
    )
    poison_losses: int = Field(
        default=3, ge=1, le=20, description="So many servers that die with a task end it."
    )
    poison_window_ms: int = Field(
        default=3 * _DAY_MS,
        ge=1_000,
        le=30 * _DAY_MS,
        description="Deaths that are longer ago do not count.",
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
