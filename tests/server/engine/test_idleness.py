"""A worker that has nothing to do while work waits that it could do."""

import pytest

from inferry.server.engine.idleness import Idleness
from inferry.server.fleet.line import Connection
from inferry.server.fleet.lines import Lines
from inferry.server.task.lifecycle import create
from inferry.server.task.pause import PausedType
from tests.server.books import Books
from tests.server.carriers.worker.docks import SERVER, worker_record
from tests.server.fleets import HandClock
from tests.server.situations import SPEC


class Floor:
    """A worker with credit, and a task that waits."""

    def __init__(self, granted: int = 1) -> None:
        self.clock = HandClock()
        self.books = Books(self.clock)
        self.member = self.books.fleet.put(worker_record())
        self.lines = Lines(self.books.fleet)
        self.lines.begin(SERVER, Connection.CONNECTED, self.clock.ms)
        self.lines.grant(SERVER, granted)
        self.books.allocator.open()
        self.books.backlog.enter(create(SPEC._replace(created_ms=1), 0)[0])
        books = self.books
        self.idleness = Idleness(books.fleet, books.backlog, books.pauses, self.clock)

    async def look(self, after_ms: int = 1_000) -> int:
        """Looks again after a time; returns for how long the worker was idle in all."""
        self.clock.ms += after_ms
        await self.idleness.run_once()
        assert self.member.line is not None
        return self.member.line.idle_ms


async def test_a_worker_that_gets_none_of_the_work_that_waits_is_idle() -> None:
    floor = Floor()
    assert [await floor.look(), await floor.look(1_000), await floor.look(500)] == [0, 1_000, 1_500]


async def test_a_worker_that_gets_work_is_not() -> None:
    floor = Floor(granted=10)
    await floor.look()
    floor.lines.assign(SERVER, ("task_0", 1))
    assert await floor.look() == 0


@pytest.mark.parametrize("hindered", ["credit", "drained", "loading", "paused", "no work", "full"])
async def test_a_worker_that_could_not_take_it_is_not(hindered: str) -> None:
    floor = Floor(granted=0 if hindered == "credit" else 1)
    match hindered:
        case "drained":
            floor.books.fleet.leave(SERVER, floor.clock.ms + 10_000)
        case "loading":
            floor.lines.turn(SERVER, Connection.LOADING)
        case "paused":
            floor.books.pauses.pause(PausedType(SPEC.type, "", 1))
        case "no work":
            floor.books.backlog.leave(SPEC, started=True)
        case "full":
            floor.books.fleet.reserve(SERVER, 4)
        case _:
            pass
    await floor.look()
    assert await floor.look() == 0


async def test_a_scheduler_that_is_woken_by_credit_leaves_nobody_idle() -> None:
    floor = Floor(granted=0)
    floor.books.allocator.allocate(floor.clock.ms, 10)
    looking = [floor.books.looking]
    floor.lines.grant(SERVER, 1)
    looking.append(floor.books.looking)
    assert looking == [False, True]
    assert floor.books.allocator.allocate(floor.clock.ms, 10) == {SERVER: [SPEC.id]}
    await floor.look()
    assert await floor.look() == 0
