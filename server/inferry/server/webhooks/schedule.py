"""When a delivery is tried again, and when it is given up. Pure."""

from random import Random

from inferry.server.task.hook import HookEvent

_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
#: Before the second try, the third, and so on; the first is at once.
PAUSES_MS = (
    5 * _SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
#: What a receiver may ask for at most, by Retry-After.
LONGEST_MS = 24 * _HOUR
#: Older progress is told to nobody.
STALE_MS = 5 * _MINUTE
#: A pause is longer by up to this share: what failed together is not to come back together.
_JITTER = 0.1


def next_try_ms(tries: int, now_ms: int, retry_after_s: float | None, random: Random) -> int | None:
    """Tells when to try again after so many tries; None when it is given up.

    Args:
        tries: That failed so far, this one counted in.
        now_ms: The time.
        retry_after_s: What the receiver asked for.
        random: Spreads the tries.
    """
    if tries > len(PAUSES_MS):
        return None
    asked_ms = min(LONGEST_MS, int((retry_after_s or 0) * 1_000))
    pause_ms = max(PAUSES_MS[tries - 1], asked_ms)
    return now_ms + int(pause_ms * (1 + _JITTER * random.random()))


def is_stale(event: HookEvent, created_ms: int, now_ms: int) -> bool:
    """Whether an event is too old to be told: progress alone ever is."""
    return event is HookEvent.PROGRESS and now_ms - created_ms > STALE_MS
