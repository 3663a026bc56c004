"""What a backend is to do in the checks, and how long it is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a backend is waited for, in seconds."""

    #: Of one task.
    task_s: float = 30.0
    #: A timeout that the long work does not meet.
    short_s: float = 1.0
    #: How much later than its timeout a backend may report an end.
    grace_s: float = 2.0
    #: For a callback to come again that was refused with 503.
    repeated_s: float = 30.0
    #: For what should not come: a second end, the end of what was cancelled.
    listened_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a backend is to do in the checks: JSON objects."""

    #: Ends well, soon.
    payload: bytes
    #: Takes several seconds and tells its progress; None skips what needs it.
    long_payload: bytes | None
    #: Ends with an error; None skips that.
    bad_payload: bytes | None
    patience: Patience = Patience()


class SkippedError(Exception):
    """A check was not made; says what it needs."""
