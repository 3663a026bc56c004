"""Circuit breakers: calls to a server are held back while they fail. Pure.

``TRANSITIONS`` maps (state, turn) to the next state, as ``record.HEALTH`` does for health. A
closed breaker lets calls through and counts the last ones. It opens after several connection
failures in a row, or when too many of its calls failed; each failed trial after that opens it for
twice as long. When the time is over, or a probe was good before that, it is half-open: one task at
a time goes on trial, and its success closes the breaker. (Design section 6.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

#: Calls that the share of failures looks back on, at most.
CALLS_KEPT = 100


class BreakerState(IntEnum):
    """Whether calls go through; numbered as ``inferry.v1.Server.Breaker``."""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


class CallEnd(Enum):
    """What came of a call to a server."""

    #: A real answer, be it a rejection.
    ANSWERED = "answered"
    #: 429 or 503: it wants to be left alone for a while. Counts neither way.
    REFUSED = "refused"
    #: There was no connection.
    UNREACHABLE = "unreachable"
    #: The connection broke, the answer was 502 or 504, or none came in time.
    BROKEN = "broken"


class Turn(Enum):
    """What happens to a breaker."""

    #: A call was answered.
    ANSWER = "answer"
    #: A call failed.
    FAILURE = "failure"
    #: A call failed that was one too many.
    LAST_FAILURE = "last failure"
    #: Its time is over, or a probe was good.
    PROSPECT = "prospect"


TRANSITIONS: Mapping[tuple[BreakerState, Turn], BreakerState] = {
    (BreakerState.CLOSED, Turn.ANSWER): BreakerState.CLOSED,
    (BreakerState.CLOSED, Turn.FAILURE): BreakerState.CLOSED,
    (BreakerState.CLOSED, Turn.LAST_FAILURE): BreakerState.OPEN,
    (BreakerState.CLOSED, Turn.PROSPECT): BreakerState.CLOSED,
    # Calls that were under way when it opened tell nothing new.
    (BreakerState.OPEN, Turn.ANSWER): BreakerState.OPEN,
    (BreakerState.OPEN, Turn.FAILURE): BreakerState.OPEN,
    (BreakerState.OPEN, Turn.LAST_FAILURE): BreakerState.OPEN,
    (BreakerState.OPEN, Turn.PROSPECT): BreakerState.HALF_OPEN,
    # These are the trial's.
    (BreakerState.HALF_OPEN, Turn.ANSWER): BreakerState.CLOSED,
    (BreakerState.HALF_OPEN, Turn.FAILURE): BreakerState.OPEN,
    (BreakerState.HALF_OPEN, Turn.LAST_FAILURE): BreakerState.OPEN,
    (BreakerState.HALF_OPEN, Turn.PROSPECT): BreakerState.HALF_OPEN,
}


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """The numbers of a breaker."""

    #: Connection failures in a row that open it.
    failures: int
    #: It opens when more than this share of the last calls failed.
    percent: int
    #: Calls from which on that share counts.
    calls: int
    #: Older calls do not count.
    window_ms: int
    #: How long it is open at first.
    open_ms: int
    #: How long it is open at most.
    longest_ms: int


class Breaker(NamedTuple):
    """A server's breaker as it is now."""

    state: BreakerState = BreakerState.CLOSED
    #: When an open one becomes half-open by itself; 0 when it is not open.
    until_ms: int = 0
    #: Why it opened, for a person; empty when it is closed.
    reason: str = ""
    #: How often it opened since it was last closed.
    openings: int = 0
    #: Connection failures since the last answer or good probe.
    unreachable: int = 0
    #: When each of the last calls ended and whether it failed, oldest first.
    calls: tuple[tuple[int, bool], ...] = ()


def note(breaker: Breaker, end: CallEnd, now_ms: int, rules: BreakerRules) -> Breaker:
    """Applies the end of a call; to a half-open breaker, of the one that was on trial."""
    if end is CallEnd.REFUSED:
        return breaker
    counted, reason, turn = _count(breaker, end, now_ms), "", Turn.ANSWER
    if end is not CallEnd.ANSWERED:
        reason = _one_too_many(counted, now_ms, rules)
        turn = Turn.LAST_FAILURE if reason else Turn.FAILURE
    state = TRANSITIONS[breaker.state, turn]
    if state is BreakerState.CLOSED:
        return counted if breaker.state is state else Breaker()
    if state is breaker.state:
        return breaker
    if breaker.openings:
        trials = "the trial" if breaker.openings == 1 else f"{breaker.openings} trials in a row"
        reason = f"{trials} failed"
    open_ms = min(rules.longest_ms, rules.open_ms * 2 ** min(breaker.openings, 16))
    return Breaker(state, now_ms + open_ms, reason, breaker.openings + 1)


def encourage(breaker: Breaker) -> Breaker:
    """Applies a good probe, or the end of the open time."""
    state = TRANSITIONS[breaker.state, Turn.PROSPECT]
    return breaker._replace(state=state, until_ms=0, unreachable=0)


def _count(breaker: Breaker, end: CallEnd, now_ms: int) -> Breaker:
    answered = end is CallEnd.ANSWERED
    unreachable = 0 if answered else breaker.unreachable + (end is CallEnd.UNREACHABLE)
    calls = (*breaker.calls[1 - CALLS_KEPT :], (now_ms, not answered))
    # Not by ``_replace``, which takes twice as long: this runs for each call.
    return Breaker(
        breaker.state, breaker.until_ms, breaker.reason, breaker.openings, unreachable, calls
    )


def _one_too_many(breaker: Breaker, now_ms: int, rules: BreakerRules) -> str:
    """Tells why the last failure was one too many; empty when it was not."""
    if breaker.unreachable >= rules.failures:
        return f"{breaker.unreachable} connections in a row failed"
    lately = [failed for at_ms, failed in breaker.calls if at_ms > now_ms - rules.window_ms]
    calls, failures = len(lately), sum(lately)
    if calls >= rules.calls and failures * 100 > rules.percent * calls:
        return f"{failures} of its last {calls} calls failed"
    return ""
