"""What the ring keeps of an event: ten thousand times a little is enough."""

from inferry.server.store.operations import Logged
from inferry.server.task.record import EventKind, Outcome

#: What a task ended with stays in the ring if it has so few bytes; else the store has it.
OUTCOME_BYTES = 1_024
#: An event stays there if the words of its task are so few.
WORDS_BYTES = 4_096


def kept(one: Logged) -> Logged | None:
    """Gives an event as it is kept; None if the store alone has it."""
    record = one.record
    words = len(record.spec.labels) + len(record.message) + len(record.error)
    if words + len(one.event.message) > WORDS_BYTES:
        return None
    if one.outcome is None or (one.event.kind is EventKind.FINISHED and _small(one.outcome)):
        return one
    return one._replace(outcome=None)


def _small(outcome: Outcome) -> bool:
    return sum(len(text) for text in outcome if text) <= OUTCOME_BYTES
