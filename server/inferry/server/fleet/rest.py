"""Rests: a server that refuses a task is left alone for a while. Pure.

It is left alone for as long as it asks, within bounds; if it does not ask, for longer each time
until it answers. A rest ends when its time is over, and when the server registers or is resumed:
both are a newer word than the refusal. A good probe is none, for a busy server is healthy, too.
"""

from dataclasses import dataclass
from typing import NamedTuple

#: What it can ask for at least: nobody is asked again and again without a pause.
ASKED_SHORTEST_MS = 100


@dataclass(frozen=True, slots=True)
class RestRules:
    """The numbers of a rest, in milliseconds."""

    #: What a server rests at first that does not say for how long; it doubles each time.
    first_ms: int
    #: What it doubles to at most.
    unasked_longest_ms: int
    #: How long any server can rest, whatever it asks for.
    longest_ms: int


class Rest(NamedTuple):
    """A server's rest as it is now."""

    #: When it ends; 0 when the server does not rest.
    until_ms: int = 0
    #: Rests in a row, without an answer between them.
    streak: int = 0


def refuse(rest: Rest, now_ms: int, asked_ms: int | None, rules: RestRules) -> Rest:
    """Applies a refusal.

    Args:
        rest: The rest so far.
        now_ms: The time.
        asked_ms: How long the server asked to be left alone; None when it did not ask.
        rules: The numbers.
    """
    # Refusals that come at once, of calls that went out together, are one. An answer to one of
    # these calls begins another streak, though the server still rests.
    streak = max(1, rest.streak if rest.until_ms > now_ms else rest.streak + 1)
    wait_ms = min(rules.unasked_longest_ms, rules.first_ms * 2 ** min(streak - 1, 16))
    if asked_ms is not None:
        wait_ms = max(ASKED_SHORTEST_MS, asked_ms)
    return Rest(max(rest.until_ms, now_ms + min(rules.longest_ms, wait_ms)), streak)
