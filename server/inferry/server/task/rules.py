"""The numbers of a task's life, as the settings have them. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskRules:
    """Times are milliseconds."""

    #: What the gateway waits beyond an attempt's timeout, so that a backend's own TIMEOUT wins.
    grace_ms: int
    #: Retention of COMPLETED and CANCELLED tasks.
    keep_done_ms: int
    #: Retention of FAILED and TIMEOUT tasks.
    keep_failed_ms: int
    #: The longest wait before the second attempt; it doubles for each one after that.
    backoff_first_ms: int
    #: What it doubles to at most.
    backoff_longest_ms: int
    #: So many servers that die with a task ...
    poison_losses: int
    #: ... within so long end it.
    poison_window_ms: int
