"""The servers: what they take, how they are watched, when they are left alone."""

from pydantic import BaseModel, Field

_DAY_MS = 86_400_000


class ServerSettings(BaseModel):
    """By what servers are judged."""

    max_concurrent: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="Tasks that a server takes at once if its registration does not say.",
    )
    deregister_grace_ms: int = Field(
        default=30_000,
        ge=0,
        le=600_000,
        description="What the tasks of a server that is deregistered may take to end, if the "
        "call does not say.",
    )
    probe_interval_ms: int = Field(
        default=10_000, ge=100, le=3_600_000, description="Between two health probes of a server."
    )
    probe_timeout_ms: int = Field(
        default=5_000, ge=10, le=60_000, description="How long a health probe may take."
    )
    probe_failures: int = Field(
        default=3,
        ge=1,
        le=1_000,
        description="Bad probes in a row that take a server offline; the first one makes it the "
        "last choice.",
    )
    probe_successes: int = Field(
        default=2, ge=1, le=1_000, description="Good probes in a row that make it active again."
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
    rest_first_ms: int = Field(
        default=1_000,
        ge=1,
        le=3_600_000,
        description="How long a server that answers 429 or 503 without a `Retry-After`, or gives "
        "a task back, is left alone at first; each refusal after that doubles it.",
    )
    rest_unasked_longest_ms: int = Field(
        default=30_000, ge=1, le=_DAY_MS, description="What that rest doubles to at most."
    )
    rest_longest_ms: int = Field(
        default=300_000,
        ge=100,
        le=_DAY_MS,
        description="How long a server that answers 429 or 503 is left alone at most, "
        "whatever its `Retry-After` says.",
    )
