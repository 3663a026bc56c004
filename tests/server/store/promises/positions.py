"""Each committed event has its position: in the order of the commits, without holes."""

import asyncio
from typing import NamedTuple

from inferry.server.store import EVENTS_KEPT, POSITION_BITS, Store, Vector
from inferry.server.store.operations import Change, Logged, Operation, Purge
from inferry.server.task.inputs import Cancel, Progress, Succeed
from inferry.server.task.record import Outcome, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.store.samples import NOW, change, claim, dispatched, do, refuse, waiting


class Event(NamedTuple):
    """What of an event counts here."""

    task_id: str
    seq: int


def events_of(logged: list[Logged]) -> list[Event]:
    return [Event(one.event.task_id, one.event.seq) for one in logged]


async def all_of(store: Store, after: Vector | None = None) -> list[Logged]:
    found = await store.logged(after or {}, 100_000)
    assert found is not None
    return found


class PositionConformance:
    """What a store promises of positions."""

    async def test_events_have_positions_in_the_order_of_their_commits(self, store: Store) -> None:
        told: list[Logged] = []
        store.listener = told.extend
        await do(store, waiting("task_1"), dispatched("task_2"), claim("task_1"))
        await do(store, change("task_1", Progress(5.0)), change("task_2", Succeed(b"1")))
        seqs = ((1, 1), (2, 1), (2, 2), (1, 2), (1, 3), (2, 3))
        wanted = [(f"task_{number}", seq) for number, seq in seqs]
        assert events_of(told) == wanted
        base = store.epoch.number << POSITION_BITS
        assert [one.position for one in told] == [base + n for n in range(1, 7)]
        assert told[-1].outcome == Outcome(result=b"1")
        assert told[-1].record == await store.task("task_2")
        read = await all_of(store)
        assert [(one.position, one.event) for one in read] == [
            (one.position, one.event) for one in told
        ]
        own = store.epoch.number
        assert events_of(await all_of(store, {own: 4})) == wanted[4:]
        assert events_of(await store.logged({own: 1}, 2) or []) == wanted[1:3]
        assert await store.heads() == {own: 6}

    async def test_what_was_refused_or_broke_takes_no_position(self, store: Store) -> None:
        told: list[Logged] = []
        store.listener = told.extend

        def breaks(_: TaskRecord) -> Transition | None:
            raise RuntimeError("a bug")

        await do(store, waiting("task_1"))
        batches: list[list[Operation]] = [
            [Change("task_1", refuse), waiting("task_2")],
            [waiting("task_3"), waiting("task_3"), waiting("task_4"), Change("task_1", breaks)],
            [waiting("task_5")],
        ]
        for batch in batches:
            await store.commit(batch)
        wanted = [(f"task_{number}", 1) for number in range(1, 6)]
        assert events_of(told) == wanted
        base = store.epoch.number << POSITION_BITS
        assert [one.position for one in await all_of(store)] == [base + n for n in range(1, 6)]
        assert events_of(await all_of(store)) == wanted

    async def test_many_who_commit_at_once_leave_no_hole(self, store: Store) -> None:
        told: list[Logged] = []
        store.listener = told.extend

        async def live(number: int) -> None:
            await do(store, dispatched(f"task_{number}"))
            await do(store, change(f"task_{number}", Progress(5.0)))
            await do(store, change(f"task_{number}", Succeed(b"1")))

        await asyncio.gather(*map(live, range(100)))
        base = store.epoch.number << POSITION_BITS
        assert [one.position for one in told] == [base + n for n in range(1, 401)]
        assert events_of(await all_of(store)) == events_of(told)

    async def test_events_that_are_gone_are_missed_and_not_passed_over(self, store: Store) -> None:
        await do(store, waiting("task_1"), change("task_1", Cancel()), waiting("task_2"))
        own = store.epoch.number
        await do(store, Purge(10 * NOW, 10, 1))
        for seen in ({}, {own: 0}, {own: 1}):
            assert await store.logged(seen, 10) is None
        assert events_of(await all_of(store, {own: 2})) == [("task_2", 1)]

    async def test_what_was_logged_counts_when_it_is_gone(self, store: Store) -> None:
        await do(store, waiting("task_1"), change("task_1", Cancel()))
        heads = await store.heads()
        assert heads == {store.epoch.number: 2}
        await do(store, Purge(10 * NOW, 10, 1))
        assert await store.heads() == heads
        assert await all_of(store, heads) == []

    async def test_a_page_added_to_the_vector_leads_to_the_next_one(self, store: Store) -> None:
        await do(store, *[dispatched(f"task_{number}") for number in range(5)])
        seen, found = dict[int, int](), list[Logged]()
        while page := await store.logged(seen, 3):
            assert len(page) == (3 if len(found) < 9 else 1)
            found += page
            seen = {one.position >> POSITION_BITS: one.position % 2**POSITION_BITS for one in page}
        assert events_of(found) == events_of(await all_of(store))
        assert seen == await store.heads()

    async def test_a_vector_may_name_epochs_that_are_yet_to_come(self, store: Store) -> None:
        await do(store, dispatched("task_1"))
        own = store.epoch.number
        assert events_of(await all_of(store, {own: 1, own + 1: 0})) == [("task_1", 2)]
        assert await all_of(store, {own + 1: 0}) == []
        assert await all_of(store, {own + 3: 7}) == []

    async def test_this_start_is_among_the_epochs_once_it_left_an_event(self, store: Store) -> None:
        await do(store, waiting("task_1"))
        assert store.epoch in await store.epochs()
        assert not store.epoch.ended

    async def test_events_beyond_those_kept_of_a_task_are_missed(self, store: Store) -> None:
        await do(store, dispatched("task_1"), waiting("task_2"))
        own = store.epoch.number
        await do(store, *[change("task_1", Progress(5.0)) for _ in range(EVENTS_KEPT - 2)])
        assert len(await all_of(store, {own: 0})) == EVENTS_KEPT + 1
        await do(store, change("task_1", Progress(6.0)))
        assert await store.logged({own: 0}, 10) is None
        assert len(await all_of(store, {own: 1})) == EVENTS_KEPT + 1
