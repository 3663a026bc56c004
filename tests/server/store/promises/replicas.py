"""The log that several stores on one database write at once."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random

from inferry.server.store import Store, Vector
from inferry.server.store.operations import Logged, Purge
from inferry.server.store.webhooks import ClaimDeliveries, DropHook, PutHook
from inferry.server.task.inputs import Accept, Cancel, Progress
from tests.server.store.promises.epochs import places_of
from tests.server.store.promises.webhooks import HOOK, claimed, everybody, settle
from tests.server.store.samples import NOW, change, dispatched, do, waiting

#: Tasks that all of them change, and how often each of them does.
TASKS, ROUNDS = 10, 30


def passed(vector: Vector, page: Sequence[Logged]) -> Vector:
    """Adds a page to the vector that it follows on: of no epoch may it leave one out."""
    counts = dict(vector)
    for number, count in places_of(page):
        assert count == counts.get(number, 0) + 1
        counts[number] = count
    return counts


def check_causes(logged: Sequence[Logged]) -> None:
    """Each task's events come in their order, none of them is missing."""
    seqs: dict[str, int] = defaultdict(int)
    for one in logged:
        assert one.event.seq == seqs[one.event.task_id] + 1
        seqs[one.event.task_id] = one.event.seq


class ReplicaConformance:
    """What a store promises that several may open; ``replicas`` are three, opened in this order."""

    async def test_replicas_know_of_each_other(self, replicas: Sequence[Store]) -> None:
        own = [store.epoch for store in replicas]
        assert [epoch.number for epoch in own] == sorted({epoch.number for epoch in own})
        for store in replicas:
            await do(store, waiting(f"task_{store.epoch.number}"))
        for store in replicas:
            assert await store.epochs() == own
        await replicas[1].close()
        ended = [own[0], own[1]._replace(ended=True), own[2]]
        assert await replicas[0].epochs() == ended

    async def test_who_is_silent_is_known_before_a_later_one_is_heard(
        self, replicas: Sequence[Store]
    ) -> None:
        await do(replicas[2], waiting("task_1"))
        assert await replicas[2].epochs() == [store.epoch for store in replicas]

    async def test_an_event_names_the_one_before_it_that_another_replica_logged(
        self, replicas: Sequence[Store]
    ) -> None:
        told: list[list[Logged]] = [[], [], []]
        for store, heard in zip(replicas, told, strict=True):
            store.listener = heard.extend
        first, second, third = replicas
        await do(first, dispatched("task_1"))
        await do(second, change("task_1", Progress(1.0)), change("task_1", Progress(2.0)))
        await do(third, waiting("task_2"), change("task_1", Progress(3.0)))
        await do(first, change("task_1", Progress(4.0)))
        named = [[one.after for one in heard] for heard in told]
        assert named == [
            [0, 0, told[2][1].position],
            [told[0][1].position, 0],
            [0, told[1][1].position],
        ]
        check_causes([*told[0][:2], *told[1], *told[2], *told[0][2:]])

    async def test_one_that_reads_while_all_write_misses_nothing_and_sees_causes_first(
        self, replicas: Sequence[Store]
    ) -> None:
        names = [f"task_{number}" for number in range(TASKS)]
        await do(replicas[0], *map(dispatched, names))
        done = asyncio.Event()

        async def work(store: Store) -> None:
            random = Random(store.epoch.number)
            for _ in range(ROUNDS):
                some = random.sample(names, 3)
                await do(store, *(change(one, Progress(1.0)) for one in some))

        async def read(store: Store, limit: int) -> list[Logged]:
            seen: Vector = dict.fromkeys((one.epoch.number for one in replicas), 0)
            found: list[Logged] = []
            while True:
                last = done.is_set()
                page = await store.logged(seen, limit)
                assert page is not None
                assert len(page) <= limit
                seen, found = passed(seen, page), found + page
                if last and not page:
                    assert seen == await store.heads()
                    return found
                await asyncio.sleep(0)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            reading = [group.create_task(read(store, 7)) for store in replicas]
            await asyncio.gather(*map(work, replicas))
            done.set()
        for reader in reading:
            found = reader.result()
            check_causes(found)
            assert len(found) == 2 * TASKS + 3 * ROUNDS * len(replicas)

    async def test_from_each_vector_that_a_reader_reached_the_rest_is_given(
        self, replicas: Sequence[Store]
    ) -> None:
        await do(replicas[0], dispatched("task_1"), dispatched("task_2"))
        random = Random(1)
        for _ in range(10):
            store = random.choice(replicas)
            await do(store, change(random.choice(["task_1", "task_2"]), Progress(1.0)))
        everything = await replicas[0].logged({}, 100)
        assert everything is not None
        check_causes(everything)
        seen: Vector = dict.fromkeys((one.epoch.number for one in replicas), 0)
        for at, one in enumerate(everything):
            rest = await replicas[at % 3].logged(seen, 100)
            assert [each.position for each in rest or []] == [
                each.position for each in everything[at:]
            ]
            seen = passed(seen, [one])

    async def test_what_one_drops_another_misses_unless_it_has_seen_it(
        self, replicas: Sequence[Store]
    ) -> None:
        first, second, third = replicas
        numbers = [store.epoch.number for store in replicas]
        await do(first, waiting("task_1"), waiting("task_2"))
        await do(second, change("task_1", Cancel()), waiting("task_3"))
        await do(third, Purge(10 * NOW, 10, 1))
        base = dict.fromkeys(numbers, 0)
        for seen in ({}, base, {**base, numbers[0]: 1}, {**base, numbers[1]: 1}):
            assert await third.logged(seen, 10) is None
        seen = {**base, numbers[0]: 1, numbers[1]: 1}
        assert sorted(places_of(await third.logged(seen, 10))) == [
            (numbers[0], 2),
            (numbers[1], 2),
        ]
        heads = await first.heads()
        assert [heads[number] for number in numbers[:2]] == [2, 2]

    async def test_a_webhook_hears_of_what_any_replica_commits_once_it_is_there(
        self, replicas: Sequence[Store]
    ) -> None:
        told = [everybody(store) for store in replicas]
        await do(replicas[0], PutHook(HOOK, 10))
        await do(replicas[0], dispatched("task_1"))
        for store, heard in zip(replicas, told, strict=True):
            await do(store, change("task_1", Progress(1.0)))
            assert heard.known == [HOOK]
        await do(replicas[2], DropHook("whk_1", None, NOW))
        for store, heard in zip(replicas, told, strict=True):
            await do(store, change("task_1", Progress(1.0)))
            assert heard.known == []

    async def test_each_delivery_is_claimed_by_one_replica(self, replicas: Sequence[Store]) -> None:
        for store in replicas:
            everybody(store, "whk_1")
        await do(replicas[0], PutHook(HOOK, 10))
        names = [f"task_{number}" for number in range(60)]
        await do(replicas[0], *map(dispatched, names))
        await do(replicas[1], *(change(name, Cancel()) for name in names))
        pages = await asyncio.gather(
            *(claimed(store, **{"example.com": 7}) for store in replicas for _ in range(4))
        )
        taken = [claim.key.task_id for page in pages for claim in page]
        assert sorted(taken) == sorted(names)

    async def test_what_waits_keeps_its_order_while_it_is_settled_and_added_to(
        self, replicas: Sequence[Store]
    ) -> None:
        for store in replicas:
            everybody(store, "whk_1")
        await do(replicas[0], PutHook(HOOK, 10))
        names = [f"task_{number}" for number in range(TASKS)]
        await do(replicas[0], *map(dispatched, names))
        sent: list[tuple[str, int]] = []
        done = asyncio.Event()

        async def work(store: Store) -> None:
            random = Random(store.epoch.number)
            for _ in range(ROUNDS):
                kind = Accept() if random.random() < 0.5 else Progress(1.0)
                await do(store, change(random.choice(names), kind))

        async def send(store: Store) -> None:
            while True:
                last = done.is_set()
                claims = await claimed(store)
                sent.extend((claim.key.task_id, claim.key.seq) for claim in claims)
                await do(store, *map(settle, claims))
                if last and not claims and not await store.due_hosts("", 1):
                    return
                await asyncio.sleep(0)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for store in replicas[:2]:
                group.create_task(send(store))
            await asyncio.gather(*map(work, replicas))
            await do(replicas[2], *(change(name, Cancel()) for name in names))
            done.set()
        for name in names:
            seqs = [seq for task_id, seq in sent if task_id == name]
            assert seqs == sorted({*seqs})
            record = await replicas[0].task(name)
            assert record is not None
            assert seqs[-1] == record.seq
            told = await replicas[0].deliveries(name, None, 1_000)
            assert {one.state.name for one in told} == {"DELIVERED"}

    async def test_what_a_replica_had_claimed_is_sent_by_another_once_it_is_gone(
        self, replicas: Sequence[Store]
    ) -> None:
        everybody(replicas[0], "whk_1")
        await do(replicas[0], PutHook(HOOK, 10), dispatched("task_1"))
        await do(replicas[0], change("task_1", Cancel()))
        (claim,) = await claimed(replicas[0])
        assert await claimed(replicas[1]) == []
        assert not await replicas[1].left_claims()
        await replicas[0].close()
        assert await replicas[1].left_claims()
        await do(replicas[1], ClaimDeliveries(NOW, {}))
        assert not await replicas[1].left_claims()
        assert await claimed(replicas[1]) == [claim]
