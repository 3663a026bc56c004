"""Watchers learn of each event, and of their tasks' places by one look for all of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from inferry.server.engine.board import Board
from inferry.server.engine.reader import Reader, Step
from inferry.server.engine.signals import Place, Signal
from inferry.server.errors import GoneError, UnavailableError
from inferry.server.queue.fair_queue import FairQueue
from inferry.server.store.operations import Claimed, Purge
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Cancel, Claim, Expire, Input, Release, Retry
from inferry.server.task.lifecycle import apply
from inferry.server.task.pause import PausedType
from inferry.server.task.record import AttemptOutcome, EventKind, Outcome, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.books import Books
from tests.server.fleets import START_MS, HandClock, server
from tests.server.situations import RULES
from tests.server.store.opening import opened
from tests.server.store.samples import change, do, waiting


@dataclass
class Scene:
    """A store, a queue, and who may look at them."""

    clock: HandClock
    store: SqliteStore
    books: Books
    board: Board
    reader: Reader

    async def enter(self, number: int, tenant: str = "acme", not_before_ms: int = 0) -> TaskRecord:
        """Creates a waiting task."""
        insert = waiting(
            f"task_{number}", not_before_ms, tenant=tenant, created_ms=START_MS + number
        )
        await do(self.store, insert)
        self.books.backlog.enter(insert.record)
        return insert.record

    async def change(self, record: TaskRecord, given: Input) -> TaskRecord:
        """Gives a task an input, on disk and in memory."""
        (done,) = await self.store.commit([change(record.spec.id, given, START_MS)])
        assert isinstance(done, Transition)
        if isinstance(given, Claim):
            self.books.ledger.claimed([Claimed(done, b"{}")], given.server_id, [record.spec.id])
        else:
            self.books.ledger.changed(done)
        return done.record

    def leave(self, record: TaskRecord) -> None:
        """Ends a waiting task."""
        self.books.ledger.changed(apply(record, Cancel(), START_MS, RULES))

    def show(self, record: TaskRecord) -> Signal:
        """Has a task's place shown to a watcher who has seen all there was."""
        signal = Signal()
        self.board.show(signal, record)
        return signal

    def watch(self, record: TaskRecord) -> AsyncGenerator[Step, None]:
        return self.reader.watch(record.spec.id, record.spec.tenant, 0)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = HandClock()
    books = Books(clock, limit=500)
    board = Board(books.queue)
    async with opened(tmp_path / "inferry.db") as store:
        yield Scene(clock, store, books, board, Reader(store, books.signals, board))


async def test_a_watcher_is_woken_when_its_place_is_another_one_and_not_before(
    scene: Scene,
) -> None:
    first, second = await scene.enter(1), await scene.enter(2)
    signal = scene.show(second)
    assert signal.place == Place(2, 0)
    await scene.board.run_once()
    assert not signal.event.is_set()
    scene.leave(first)
    assert not signal.event.is_set()
    await scene.board.run_once()
    assert (signal.event.is_set(), signal.place) == (True, Place(1, 0))


async def test_one_look_at_the_queue_is_for_all_watchers(scene: Scene) -> None:
    records = [await scene.enter(number, f"tenant-{number % 40}") for number in range(200)]
    signals = [scene.show(record) for record in records]
    scene.leave(records[0])
    seen = FairQueue.positions
    with patch.object(FairQueue, "positions", autospec=True, side_effect=seen) as looked:
        await scene.board.run_once()
    assert looked.call_count == 1
    woken = [signal for signal in signals if signal.event.is_set()]
    assert len(woken) == 199
    assert sorted(signal.place.position for signal in woken if signal.place) == list(range(1, 200))


async def test_a_delayed_task_gets_its_place_when_it_is_due(scene: Scene) -> None:
    signal = scene.show(await scene.enter(1, not_before_ms=START_MS + 500))
    await scene.board.run_once()
    assert (signal.event.is_set(), signal.place) == (False, None)
    scene.books.backlog.wake(START_MS + 500)
    await scene.board.run_once()
    assert (signal.event.is_set(), signal.place) == (True, Place(1, 0))


async def test_a_task_of_a_paused_type_is_told_its_place_when_that_is_over(scene: Scene) -> None:
    signal = scene.show(await scene.enter(1))
    scene.books.pauses.pause(PausedType("echo", "", START_MS))
    await scene.board.run_once()
    assert (signal.event.is_set(), signal.place) == (False, None)
    scene.books.pauses.resume("echo")
    await scene.board.run_once()
    assert (signal.event.is_set(), signal.place) == (True, Place(1, 0))


async def test_nobody_looks_while_nobody_watches_a_waiting_task(scene: Scene) -> None:
    record = await scene.enter(1)
    assert not scene.board._watched.is_set()
    async with aclosing(scene.watch(record)) as steps:
        assert [(await anext(steps)).seq for _ in range(2)] == [1, 1]
        assert scene.board._watched.is_set()
    assert (scene.board._watching, scene.board._watched.is_set()) == ({}, False)
    running = apply(record, Claim("srv_1"), START_MS, RULES).record
    scene.show(running)
    assert not scene.board._watched.is_set()


async def test_a_word_on_a_place_reads_nothing_from_the_store(scene: Scene) -> None:
    first, second = await scene.enter(1), await scene.enter(2)
    async with aclosing(scene.watch(second)) as steps:
        told = [(await anext(steps)).place for _ in range(2)]
        assert told == [None, Place(2, 0)]
        scene.leave(first)
        with patch.object(SqliteStore, "events") as events:
            await scene.board.run_once()
            assert (await anext(steps)).place == Place(1, 0)
        events.assert_not_called()


async def test_a_watcher_of_a_task_that_waits_again_is_told_its_place_again(scene: Scene) -> None:
    scene.books.fleet.put(server())
    record = await scene.enter(1)
    async with aclosing(scene.watch(record)) as steps:
        assert [(await anext(steps)).place for _ in range(2)] == [None, Place(1, 0)]
        for given in (Claim("srv_1"), Release("busy", AttemptOutcome.REFUSED, 0, counts=False)):
            record = await scene.change(record, given)
        seen = [await anext(steps) for _ in range(3)]
        assert [step.event.kind.name for step in seen if step.event] == ["DISPATCHED", "REQUEUED"]
        assert seen[-1].place == Place(1, START_MS + 1_000)


async def test_a_watcher_is_told_no_time_once_no_server_takes_the_type(scene: Scene) -> None:
    scene.books.fleet.put(server())
    started, waits = await scene.enter(1), await scene.enter(2)
    await scene.change(started, Claim("srv_a"))
    signal = scene.show(waits)
    assert signal.place == Place(1, START_MS + 1_000)
    await scene.board.run_once()
    assert not signal.event.is_set()
    scene.books.fleet.put(server(draining=True))
    await scene.board.run_once()
    assert (signal.place, signal.event.is_set()) == (Place(1, 0), True)


async def test_a_reader_who_is_slower_than_the_purge_is_told_that_the_task_is_gone(
    scene: Scene,
) -> None:
    record = await scene.enter(1)
    async with aclosing(scene.watch(record)) as steps:
        await anext(steps)
        scene.leave(await scene.change(record, Claim("srv_1")))
        await do(scene.store, change(record.spec.id, Cancel()), Purge(2 * START_MS, 10, START_MS))
        with pytest.raises(GoneError):
            await asyncio.wait_for(anext(steps), 10)


async def test_a_watcher_is_told_where_to_go_on_when_nothing_more_will_be_heard_here(
    scene: Scene,
) -> None:
    record = await scene.enter(1)
    async with aclosing(scene.watch(record)) as steps:
        await anext(steps)
        await anext(steps)
        waiting_for = asyncio.ensure_future(anext(steps))
        await scene.change(record, Claim("srv_1"))
        scene.books.signals.dismiss()
        # What is there already it gets before.
        step = await waiting_for
        assert step.event is not None
        assert step.event.kind is EventKind.DISPATCHED
        with pytest.raises(UnavailableError, match="go on after event 2"):
            await asyncio.wait_for(anext(steps), 10)


async def test_what_a_task_ended_with_is_read_with_the_task_as_it_was_then(scene: Scene) -> None:
    record = await scene.enter(1)
    ended = await scene.change(record, Expire("no server took it", details=b"{}"))
    again = await scene.change(record, Retry())
    # Who had read it before it began anew is not told of an end with nothing.
    now, outcome = await scene.reader.ended(ended)
    assert (now, outcome) == (again, Outcome())
