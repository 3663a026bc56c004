"""The log over several starts: a vector says of each how much of it was seen."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import product

from inferry.server.store import POSITION_BITS, Store, Vector
from inferry.server.store.operations import Logged, Purge
from inferry.server.store.webhooks import PutHook
from inferry.server.task.inputs import Cancel
from tests.server.store.promises.webhooks import HOOK, claimed, everybody, settle
from tests.server.store.samples import NOW, change, dispatched, do, waiting

#: Opens the store once more; the start before must have ended.
Starts = Callable[[], AbstractAsyncContextManager[Store]]


def places_of(logged: Sequence[Logged] | None) -> list[tuple[int, int]]:
    """Gives the epoch and the count of each event."""
    assert logged is not None
    return [divmod(one.position, 1 << POSITION_BITS) for one in logged]


@asynccontextmanager
async def last_of(starts: Starts, counts: Sequence[int]) -> AsyncIterator[Store]:
    """Opens the last of some starts, each of which leaves so many events."""
    *earlier, last = counts
    for count in earlier:
        async with starts() as store:
            names = [f"task_{store.epoch.number}_{n}" for n in range(count)]
            await do(store, *map(waiting, names))
    async with starts() as store:
        await do(store, *(waiting(f"task_{store.epoch.number}_{n}") for n in range(last)))
        yield store


class EpochConformance:
    """What a store promises to who goes on after a start of before."""

    async def test_of_each_start_the_log_has_what_is_not_in_the_vector(
        self, starts: Starts
    ) -> None:
        async with last_of(starts, (2, 3, 2)) as store:
            first, second, third = [epoch.number for epoch in await store.epochs()]
            counts = {first: 2, second: 3, third: 2}
            choices = [[None, *range(count + 1)] for count in counts.values()]
            for chosen in product(*choices):
                vector = {
                    number: count
                    for number, count in zip(counts, chosen, strict=True)
                    if count is not None
                }
                whole = [number for number in counts if number < max(vector, default=0)]
                wanted = [
                    (number, n)
                    for number, count in counts.items()
                    for n in range(1, count + 1)
                    if n > vector.get(number, count if number in whole else 0)
                ]
                assert places_of(await store.logged(vector, 100)) == wanted
                assert places_of(await store.logged(vector, 2)) == wanted[:2]

    async def test_a_start_that_does_nothing_changes_nothing(self, starts: Starts) -> None:
        async with starts() as store:
            await do(store, waiting("task_1"), waiting("task_2"))
            number, heads = store.epoch.number, await store.heads()
        for _ in range(2):
            async with starts():
                pass
        async with starts() as store:
            now: Vector = await store.heads()
            assert now.get(number, 2 if max(now) > number else None) == 2
            assert await store.logged(now, 10) == await store.logged(heads, 10) == []
            await do(store, waiting("task_3"))
            wanted = [(store.epoch.number, 1)]
            assert places_of(await store.logged(now, 10)) == wanted
            assert places_of(await store.logged(heads, 10)) == wanted

    async def test_starts_that_are_over_are_known_to_be(self, starts: Starts) -> None:
        async with last_of(starts, (1, 1, 1)) as store:
            *earlier, own = await store.epochs()
            assert own == store.epoch
            assert [epoch.ended for epoch in (*earlier, own)] == [True, True, False]

    async def test_what_is_gone_is_missed_by_who_has_not_seen_it_alone(
        self, starts: Starts
    ) -> None:
        async with starts() as store:
            await do(store, waiting("task_1"), waiting("task_2"))
            first = store.epoch.number
        async with starts() as store:
            await do(store, waiting("task_3"), change("task_3", Cancel()), waiting("task_4"))
            await do(store, Purge(10 * NOW, 10, 1))
            second = store.epoch.number
            missed: tuple[Vector, ...] = ({}, {first: 1}, {first: 2}, {second: 1})
            for vector in missed:
                assert await store.logged(vector, 10) is None
            whole: tuple[Vector, ...] = ({second: 2}, {first: 2, second: 2})
            for vector in whole:
                assert places_of(await store.logged(vector, 10)) == [(second, 3)]

    async def test_what_was_claimed_when_a_start_ended_is_claimed_by_the_next(
        self, starts: Starts
    ) -> None:
        async with starts() as store:
            everybody(store, "whk_1")
            await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Cancel()))
            (claim,) = await claimed(store)
            assert await claimed(store) == []
        # Also of one that did nothing else.
        for _ in range(2):
            async with starts() as store:
                assert await claimed(store) == [claim]
        async with starts() as store:
            assert await store.left_claims()
            assert await claimed(store) == [claim]
            assert not await store.left_claims()
            await do(store, settle(claim))
        async with starts() as store:
            assert await claimed(store) == []
