"""What waits to be told: of one task, to one webhook, in the order of its events. Pure.

Only the first has a time; whoever sends it settles it, and the next one follows. So the stores
decide alike; each reads the lines that a transaction is about, and writes what came of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from inferry.server.store.hook_rows import NO_ATTEMPTS
from inferry.server.store.rows import Row
from inferry.server.store.webhooks import SettleDelivery
from inferry.server.task.hook import DeliveryKey, DeliveryState, HookEvent, Notice

#: A task's id and a webhook's.
LineKey = tuple[str, str]
#: Columns of what waits.
ENTRY = ("task_id", "webhook_id", "seq", "event", "tries", "next_ms", "claimed", "attempts")
#: What is written of one that is changed, behind its key.
ENTRY_CHANGES = ("state", "tries", "next_ms", "claimed", "ended_ms", "attempts")
#: What is written of a new one; its webhook adds the rest.
NEW_ENTRY = (
    *("task_id", "webhook_id", "seq", "event", "body", "created_ms"),
    *("state", "tries", "next_ms", "ended_ms", "attempts"),
)


@dataclass(slots=True, eq=False)
class Entry:
    """A delivery that waits, or did when the transaction began."""

    key: DeliveryKey
    event: HookEvent
    tries: int
    next_ms: int
    #: Who is about to send it; 0 for nobody.
    claimed: int
    attempts: bytes
    #: What it is made of; None if it has a row.
    notice: Notice | None = None
    state: DeliveryState = DeliveryState.WAITING
    ended_ms: int = 0
    #: Whether it differs from its row.
    changed: bool = False
    #: Whether it is to have no row.
    dropped: bool = False

    @property
    def waits(self) -> bool:
        """Whether it is yet to be told."""
        return self.state is DeliveryState.WAITING and not self.dropped

    def end(self, state: DeliveryState, now_ms: int) -> None:
        """Ends it."""
        self.state, self.ended_ms = state, now_ms
        self.next_ms = self.claimed = 0
        self.changed = True

    def is_stale(self, newer: HookEvent) -> bool:
        """Whether what comes now says all that it would: progress, or a start that could not be."""
        started = self.event is HookEvent.STARTED and newer is HookEvent.COMPLETED
        return not self.claimed and (
            self.event is HookEvent.PROGRESS or (started and self.tries > 0)
        )


@dataclass(slots=True)
class Line:
    """What waits of a task for a webhook."""

    #: Whether the webhook is there and hears.
    hears: bool
    #: In the order of their events.
    entries: list[Entry] = field(default_factory=list)

    def tell(self, notice: Notice) -> None:
        """Adds what is to be told of an event."""
        if not self.hears:
            return
        due_ms, tries, attempts = notice.due_ms, 0, NO_ATTEMPTS
        for old in self._waiting():
            if old.is_stale(notice.event):
                if notice.event is old.event and old.next_ms:
                    # It takes the place of the one that was to come next, back-off and all.
                    due_ms, tries, attempts = old.next_ms, old.tries, old.attempts
                self._pass_over(old, notice.created_ms)
        new = Entry(notice.key, notice.event, tries, due_ms, 0, attempts, notice)
        if self._wake(notice.created_ms):
            new.next_ms = 0
        self.entries.append(new)

    def settle(self, told: SettleDelivery, start: int) -> DeliveryState | None:
        """Takes how it went; returns its state then, or None if this start had not claimed it."""
        for entry in self._waiting():
            if entry.key != told.key or entry.claimed != start:
                continue
            entry.tries += 1
            entry.attempts = told.add_attempt(entry.attempts)
            state = told.state
            if state is DeliveryState.WAITING and not self._goes_on(entry):
                state = DeliveryState.FAILED
            if state is DeliveryState.WAITING:
                entry.claimed, entry.next_ms, entry.changed = 0, told.next_ms, True
            else:
                entry.end(state, told.now_ms)
                self._wake(told.now_ms)
            return state
        return None

    def _goes_on(self, entry: Entry) -> bool:
        """Whether it is to be sent again: nothing holds up the end of its task."""
        ends = any(other.event is HookEvent.COMPLETED for other in self._waiting())
        return self.hears and (entry.event is HookEvent.COMPLETED or not ends)

    def _pass_over(self, entry: Entry, now_ms: int) -> None:
        if entry.event is HookEvent.PROGRESS:
            entry.dropped = True
        else:
            entry.end(DeliveryState.FAILED, now_ms)

    def _waiting(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.waits)

    def _wake(self, now_ms: int) -> bool:
        """Sees to it that what waits has its first one with a time; returns whether any waits."""
        waiting = [*self._waiting()]
        if waiting and not any(entry.next_ms or entry.claimed for entry in waiting):
            waiting[0].next_ms, waiting[0].changed = now_ms, True
        return bool(waiting)


class Lines(dict[LineKey, Line]):
    """The lines that a transaction is about."""

    def tell(self, notices: Iterable[Notice]) -> None:
        """Adds what is to be told, in the order of the events."""
        for notice in notices:
            self[notice.key[:2]].tell(notice)

    def settle(self, told: SettleDelivery, start: int) -> DeliveryState | None:
        """Takes how it went; see ``Line.settle``."""
        return self[told.key[:2]].settle(told, start)

    def new(self) -> list[Entry]:
        """Lists those that are to get rows."""
        return [one for one in self._entries() if one.notice is not None and not one.dropped]

    def changed(self) -> list[Entry]:
        """Lists those whose rows are to be changed."""
        kept = (one for one in self._entries() if one.notice is None and not one.dropped)
        return [one for one in kept if one.changed]

    def dropped(self) -> list[DeliveryKey]:
        """Lists those whose rows are to go."""
        return [one.key for one in self._entries() if one.notice is None and one.dropped]

    def _entries(self) -> Iterator[Entry]:
        return (entry for line in self.values() for entry in line.entries)


def lines_of(keys: Iterable[LineKey], rows: Iterable[Row], hears: Mapping[str, bool]) -> Lines:
    """Makes lines of rows.

    Args:
        keys: All lines that are wanted.
        rows: What waits in them: columns of ``ENTRY``, in the order of the events.
        hears: Which webhooks are there, and whether they hear.
    """
    lines = Lines({key: Line(hears.get(key[1], False)) for key in keys})
    for row in rows:
        entry = _entry_of(row)
        lines[entry.key[:2]].entries.append(entry)
    return lines


def _entry_of(row: Row) -> Entry:
    task_id, hook_id, seq, event, tries, next_ms, claimed, attempts = row
    key = DeliveryKey(task_id, hook_id, seq)
    return Entry(key, HookEvent(event), tries, next_ms, claimed, bytes(attempts))


def entry_row(entry: Entry) -> Row:
    """Lays a delivery out as its key and the columns of ``ENTRY_CHANGES``."""
    state = int(entry.state), entry.tries, entry.next_ms, entry.claimed, entry.ended_ms
    return (*entry.key, *state, entry.attempts)


def new_row(entry: Entry) -> Row:
    """Lays a new delivery out as the columns of ``NEW_ENTRY``."""
    notice = entry.notice
    if notice is None:
        raise ValueError("it has a row")
    content = int(entry.event), notice.body, notice.created_ms
    stands = int(entry.state), entry.tries, entry.next_ms, entry.ended_ms, entry.attempts
    return (*entry.key, *content, *stands)
