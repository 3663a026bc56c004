"""A model of the log that several gateways write: what a database with row locks makes of it.

Each gateway commits one batch after the other. A batch takes its events' order while it holds the
rows of its tasks; others see it when it is committed, and its own gateway hears of that later.
"""

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from types import coroutine

from inferry.server.engine.watch.vectors import count_of, epoch_of, has, seen
from inferry.server.store import POSITION_BITS, StoreError, Vector
from inferry.server.store.operations import Epoch, Logged
from inferry.server.task.record import Event, EventKind, Status
from tests.server.store.samples import NOW, waiting


@coroutine
def pause() -> Generator[None, None, None]:
    """Lets others go on."""
    yield


@dataclass
class Batch:
    """A transaction under way; the first of each pair is its place in the order of causes."""

    epoch: int
    events: list[tuple[int, Logged]]


@dataclass
class SharedLog:
    """All that was logged."""

    epochs: list[Epoch] = field(default_factory=list)
    #: What has been committed.
    visible: list[tuple[int, Logged]] = field(default_factory=list)
    #: The last event of each task, committed or not.
    last: dict[str, Logged] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    #: How many events of an epoch are not kept any more.
    dropped: dict[int, int] = field(default_factory=dict)
    _order: int = 0

    def join(self) -> Epoch:
        """Begins an epoch."""
        number = len(self.epochs) + 1
        self.epochs.append(Epoch(number, 1_000 + number))
        return self.epochs[-1]

    def end(self, number: int) -> None:
        """Ends one."""
        self.epochs[number - 1] = self.epochs[number - 1]._replace(ended=True)

    def begin(self, epoch: int, count: int, tasks: Sequence[str]) -> Batch:
        """Begins a batch with an event of each of some tasks, as far as nobody else has them."""
        batch = Batch(epoch, [])
        for task in tasks:
            if task in self.locked:
                continue
            before = self.last.get(task)
            count += 1
            self._order += 1
            logged = _event(task, epoch << POSITION_BITS | count, before)
            self.last[task] = logged
            batch.events.append((self._order, logged))
        self.locked |= {one.event.task_id for _, one in batch.events}
        return batch

    def commit(self, batch: Batch) -> None:
        """Commits it."""
        self.visible += batch.events
        self.visible.sort(key=lambda pair: pair[0])
        self.locked -= {one.event.task_id for _, one in batch.events}


def _event(task: str, position: int, before: Logged | None) -> Logged:
    record = waiting(task).record if before is None else before.record
    seq = 1 if before is None else before.event.seq + 1
    record = record._replace(seq=seq)
    event = Event(task, seq, NOW, EventKind.PROGRESSED, Status.PROCESSING, 0.0, "", 1, None)
    other = before is not None and before.position >> POSITION_BITS != position >> POSITION_BITS
    after = before.position if before is not None and other else 0
    return Logged(position, event, record, None, after)


class SharedStore:
    """What one gateway sees of it; each read takes its time."""

    def __init__(self, log: SharedLog) -> None:
        self._log = log
        self.epoch = log.join()
        self.news = asyncio.Event()
        self.broken = False

    async def logged(self, after: Vector, limit: int) -> list[Logged] | None:
        """See ``Store.logged``."""
        await pause()
        if self.broken:
            raise StoreError("the network is away")
        if any(seen(after, number) < count for number, count in self._log.dropped.items()):
            return None
        found = [one for _, one in self._log.visible if not has(after, one.position)][:limit]
        await pause()
        return [one._replace(after=0) for one in found]

    async def heads(self) -> Vector:
        """See ``Store.heads``."""
        await pause()
        heads = {epoch_of(one): count_of(one.position) for _, one in self._log.visible}
        await pause()
        return heads

    async def epochs(self) -> list[Epoch]:
        """See ``Store.epochs``."""
        await pause()
        epochs = [*self._log.epochs]
        await pause()
        return epochs
