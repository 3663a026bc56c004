"""``Retry-After`` of an answer. Pure."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_MAX_DIGITS = 9


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Reads ``Retry-After``; a date is taken against the answer's own ``Date``, not our clock.

    Args:
        headers: By name, in any case.

    Returns:
        Seconds, 0 or more; None when it says nothing.
    """
    value = headers.get("Retry-After")
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return float(value)
    try:
        now = parsedate_to_datetime(headers.get("Date", ""))
        wait = parsedate_to_datetime(value) - now
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
