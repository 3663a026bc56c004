"""Where gateways keep what outlives them: a file, or a database that several of them share."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from inferry.server.store import Store
from inferry.server.store.operations import Result
from inferry.server.task.hook import Hook
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition
from tests.simulation.world import World

#: A row, as a query has it.
Row = tuple[Any, ...]


class MortalStore(Store, Protocol):
    """A store that may end as its process does."""

    def kill(self) -> None:
        """Ends it at once: what has not taken effect never will."""


class Ground(Protocol):
    """What gateways of one world stand on."""

    #: While it is, nothing can be written, and perhaps nothing be read.
    out_of_order: bool
    #: How long others wait before they take over from a gateway that is gone; 0 if nobody does.
    lease_s: float

    @property
    def usable(self) -> bool:
        """Whether a write may succeed."""

    def put_hook(self, hook: Hook) -> None:
        """Puts a webhook there, before any gateway is."""

    def new_store(self) -> MortalStore:
        """Makes the store of a gateway, which is yet to be opened."""

    def written(self, epoch: int) -> asyncio.Event:
        """Is set when a gateway next writes something of tasks, before it knows of that."""

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """Asks for rows, beside all gateways; ``?`` stands for a value."""

    def remove(self) -> None:
        """Leaves nothing of it."""


def records_of(result: Result) -> list[TaskRecord]:
    """Lists the tasks that an operation wrote."""
    match result:
        case TaskRecord():
            return [result]
        case Transition(record):
            return [record]
        case list():
            return [claimed.transition.record for claimed in result]
    return []


def note(world: World, results: Sequence[Result], buried: int) -> None:
    """Takes note of what a commit wrote of tasks, and how many were purged until then."""
    now_s = world.loop.time()
    buried_s = world.history.buried_s
    buried_s += [now_s] * (buried - len(buried_s))
    for result in results:
        for record in records_of(result):
            world.history.written(record, now_s)
