"""The rules of one task's timeouts: none ends it early, none lets it stall.

They are measured by the world's own time. What the gateway wrote down is the time that it believed
in, on a machine whose clock may have been set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferry.server.task.record import AttemptOutcome, Event, EventKind, Status
from tests.simulation.log import LogError

if TYPE_CHECKING:
    from tests.simulation.stored import Stored

#: How late a timeout may be noticed, in the best of worlds.
_LATE_MS = 300
#: How much later than it was decided an event may be on disk: it seems to be so much shorter ago.
_EARLY_MS = 500
#: The longest delay of a task or of its next attempt.
_DELAY_MS = 30_000
#: How the gateway says which timeout ended a task.
_WORDS = {
    "queue": "no server took the task within",
    "attempt": "the server did not finish within",
    "silence": "the server said nothing for",
    "total": "the task did not end within",
}
_BEGINS = {
    "queue": (EventKind.CREATED, EventKind.RETRIED, EventKind.HELD, EventKind.REQUEUED),
    "attempt": (EventKind.DISPATCHED,),
    "silence": (EventKind.DISPATCHED, EventKind.ACCEPTED, EventKind.PROGRESSED),
    "total": (EventKind.CREATED, EventKind.RETRIED),
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What timeouts may take; milliseconds."""

    #: What the gateway waits beyond an attempt's timeout.
    grace_ms: int = 0
    #: How late it may be besides: nobody was there to see it.
    slack_ms: int = 0
    #: What a gateway that starts leaves to timeouts that began before.
    restart_grace_ms: int = 0


class Timeline:
    """When, by the world's time, the events of a task were written.

    Args:
        stored: The task.
        happened: World's time of each event, by task and number; seconds.
        starts_s: When each gateway started.
    """

    def __init__(
        self,
        stored: "Stored",
        happened: Mapping[tuple[str, int], float],
        starts_s: Sequence[float],
    ) -> None:
        self._times = {
            event.seq: int(happened[event.task_id, event.seq] * 1_000) for event in stored.events
        }
        self._starts = [int(start_s * 1_000) for start_s in starts_s]

    def at_ms(self, event: Event) -> int:
        """Tells when an event was written."""
        return self._times[event.seq]

    def last_start_ms(self, before_ms: int) -> int:
        """Tells when the gateway started that ran at a time."""
        return max((start for start in self._starts if start <= before_ms), default=0)


def check_timeouts(stored: "Stored", timeline: Timeline, allowance: Allowance) -> None:
    """Checks that no timeout of a task was overrun, and that none ended it before its time.

    Raises:
        LogError: One was, or did.
    """
    _check_late(stored, timeline, allowance.grace_ms, _LATE_MS + allowance.slack_ms)
    _check_early(stored, timeline, allowance)


def _check_late(stored: "Stored", timeline: Timeline, grace_ms: int, late_ms: int) -> None:
    spec, first = stored.record.spec, stored.events[0]
    round_ms = queued_ms = timeline.at_ms(first)
    delayed_ms = max(0, stored.record.not_before_ms - first.at_ms)
    extended = False
    run_ms = 0
    for event in stored.events:
        at_ms = timeline.at_ms(event)
        if event.kind is EventKind.DISPATCHED:
            run_ms, extended = at_ms, False
            most_ms = spec.queue_timeout_ms + delayed_ms + _DELAY_MS + late_ms
            _within(event, at_ms - queued_ms, most_ms)
        elif event.kind is EventKind.PROGRESSED:
            extended = True
        elif event.kind is EventKind.RETRIED:
            round_ms = queued_ms = at_ms
        elif event.kind in (EventKind.REQUEUED, EventKind.HELD):
            queued_ms = at_ms
        if event.kind in (EventKind.REQUEUED, EventKind.FINISHED) and run_ms:
            if not extended:
                _within(event, at_ms - run_ms, spec.timeout_ms + grace_ms + late_ms)
            run_ms = 0
        if event.kind is EventKind.FINISHED:
            _within(event, at_ms - round_ms, spec.total_timeout_ms + _DELAY_MS + late_ms)


def _within(event: Event, took_ms: int, most_ms: int) -> None:
    if took_ms > most_ms:
        raise LogError(f"{event.kind.name} came after {took_ms} ms, {most_ms} were allowed")


def _check_early(stored: "Stored", timeline: Timeline, allowance: Allowance) -> None:
    spec = stored.record.spec
    lasts_ms = {
        "queue": spec.queue_timeout_ms,
        "attempt": spec.timeout_ms + allowance.grace_ms,
        "silence": spec.silence_timeout_ms,
        "total": spec.total_timeout_ms,
    }
    began_ms = dict.fromkeys(_BEGINS, 0)
    for event in stored.events:
        at_ms = timeline.at_ms(event)
        for name, kinds in _BEGINS.items():
            if event.kind in kinds and not (name == "queue" and _refused(stored, event)):
                began_ms[name] = at_ms
        if event.kind is not EventKind.FINISHED or event.status is not Status.TIMEOUT:
            continue
        for name, words in _WORDS.items():
            if not event.message.startswith(words):
                continue
            least_ms, since_ms = lasts_ms[name], began_ms[name]
            start_ms = timeline.last_start_ms(at_ms)
            if start_ms > since_ms:
                # Nobody can say how long a gateway was away whose clock was set meanwhile.
                least_ms, since_ms = min(least_ms, allowance.restart_grace_ms), start_ms
            if at_ms - since_ms < least_ms - _EARLY_MS:
                raise LogError(
                    f"the timeout {name} ended it after {at_ms - since_ms} ms, {least_ms} it has"
                )


def _refused(stored: "Stored", event: Event) -> bool:
    """Whether an attempt was refused: the task keeps its turn, and its wait goes on."""
    if event.kind is not EventKind.REQUEUED:
        return False
    return stored.attempts[event.attempt - 1].outcome is AttemptOutcome.REFUSED
