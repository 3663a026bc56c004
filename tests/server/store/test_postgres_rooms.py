"""Limits of what may wait are exact over all replicas, and cost little where they are far."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from inferry.server.engine.committer import BATCH_LIMIT
from inferry.server.errors import InferryError, QueueFullError
from inferry.server.store import Store
from inferry.server.store.operations import Insert, PauseType
from inferry.server.store.postgres.rooms import MOST_ON_THE_WAY
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Cancel, Retry
from inferry.server.task.pause import PausedType
from tests.postgres import on
from tests.server.store.opening import opened_postgres
from tests.server.store.samples import NOW, change, claim, claimed_ids, dispatched, do, waiting

REPLICAS = 3


class Limits:
    """Room for so many in all and of a tenant."""

    def __init__(self, in_all: int = 10**6, of_tenant: int = 10**6) -> None:
        self.in_all, self.of_tenant = in_all, of_tenant

    def __call__(self, tenant: str, in_all: int, of_tenant: int) -> InferryError | None:
        full = in_all >= self.in_all or of_tenant >= self.of_tenant
        return QueueFullError("full") if full else None


def within(room: Limits, task_id: str, tenant: str = "acme") -> Insert:
    return waiting(task_id, tenant=tenant)._replace(room=room)


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[list[PostgresStore]]:
    async with AsyncExitStack() as stack:
        opening = (opened_postgres(postgres_url) for _ in range(REPLICAS))
        yield [await stack.enter_async_context(one) for one in opening]


async def fill(store: Store, room: Limits, batches: int, tenants: int = 1) -> None:
    """Offers more than there is room for."""
    number = store.epoch.number
    for batch in range(batches):
        names = (f"task_{number}_{batch}_{n}" for n in range(20))
        await store.commit(
            [within(room, name, f"tenant_{n % tenants}") for n, name in enumerate(names)]
        )


@pytest.mark.parametrize(
    ("limits", "tenants", "counted"),
    [
        (Limits(in_all=333), 4, [333]),
        (Limits(of_tenant=111), 3, [111, 111, 111]),
        (Limits(in_all=1_000, of_tenant=555), 1, [555]),
    ],
)
async def test_so_many_wait_as_may_and_not_one_more_whichever_replicas_they_come_to(
    replicas: list[PostgresStore], limits: Limits, tenants: int, counted: list[int]
) -> None:
    await asyncio.gather(*(fill(store, limits, 25, tenants) for store in replicas))
    counts = await replicas[0].waiting_counts()
    if len(counted) == 1:
        assert [sum(counts.values())] == counted
    else:
        assert sorted(counts.values()) == counted


@pytest.mark.parametrize("broken", [False, True])
async def test_a_limit_counts_what_the_same_batch_has_added_whatever_stands_between(
    replicas: list[PostgresStore], broken: bool
) -> None:
    one, *others = replicas
    for other in others:
        await other.close()
    room = Limits(in_all=3)
    since_ms = 0 if broken else NOW
    results = await one.commit(
        [
            within(room, "task_1"),
            within(room, "task_2"),
            PauseType(PausedType("ocr", "", since_ms)),
            within(room, "task_3"),
            within(room, "task_4"),
        ]
    )
    refused = [isinstance(result, InferryError) for result in results]
    assert refused == [False, False, broken, False, True]
    await do(one, change("task_1", Cancel()), within(room, "task_5"))
    (result,) = await one.commit([within(room, "task_6")])
    assert isinstance(result, QueueFullError)


async def test_far_from_a_limit_nobody_is_kept_out(replicas: list[PostgresStore]) -> None:
    far, near = Limits(of_tenant=10_000), Limits(of_tenant=600)
    one, other, _ = replicas
    await do(one, within(far, "task_1"))
    assert not one._own.rooms._exclusive
    await do(one, within(near, "task_2"), within(near, "task_3", "globex"))
    assert not one._own.rooms._exclusive
    await do(one, *(within(near, f"task_{n}") for n in range(10, 210)))
    # Others may have 512 on their way: the tenant's own lock is exclusive, and no other.
    assert one._own.rooms._exclusive == {"acme"}
    await do(other, within(near, "task_4", "globex"))
    assert not other._own.rooms._exclusive
    await do(one, *(change(f"task_{n}", Cancel()) for n in range(10, 210)))
    for name in ("task_5", "task_6"):
        await do(one, within(far, name))
    assert not one._own.rooms._exclusive


async def test_retries_of_many_replicas_keep_to_the_limit(replicas: list[PostgresStore]) -> None:
    room = Limits(of_tenant=30)
    ids = [f"task_{n}" for n in range(60)]
    await do(replicas[0], *map(waiting, ids), *(change(task_id, Cancel()) for task_id in ids))

    async def again(store: PostgresStore, mine: list[str]) -> None:
        for task_id in mine:
            await store.commit([change(task_id, Retry())._replace(room=room)])

    await asyncio.gather(
        *(again(store, ids[place::REPLICAS]) for place, store in enumerate(replicas))
    )
    assert await replicas[1].waiting_counts() == {("acme", "echo"): 30}


async def test_a_task_that_one_replica_adds_and_another_takes_is_counted_once(
    postgres_url: str, replicas: list[PostgresStore]
) -> None:
    one, other, last = replicas
    await do(one, *(waiting(f"task_{n}") for n in range(5)))
    assert await claimed_ids(other, claim("task_0", "task_1")) == ["task_0", "task_1"]
    assert await last.waiting_counts() == {("acme", "echo"): 3}
    await other.close()
    await one.close()
    async with opened_postgres(postgres_url) as new:
        # It took over what the others counted.
        assert await new.waiting_counts() == {("acme", "echo"): 3}
        rows = await on(postgres_url, "SELECT number, tasks FROM waiting")
        assert [tuple(row) for row in rows] == [(new.epoch.number, 3)]
        sums = await on(postgres_url, "SELECT number, waiting FROM replicas WHERE waiting <> 0")
        assert [tuple(row) for row in sums] == [(new.epoch.number, 3)]
        await do(new, *(change(f"task_{n}", Cancel()) for n in range(2, 5)))
        assert await last.waiting_counts() == {}


async def test_what_one_replica_pauses_no_other_gives_away(replicas: list[PostgresStore]) -> None:
    one, other, _ = replicas
    await do(one, waiting("task_1"), PauseType(PausedType("echo", "", NOW)))
    assert await claimed_ids(other, claim("task_1")) == []
    given = dispatched("task_2")
    assert await other.commit([given]) == [given.record]


def test_no_commit_adds_more_than_others_reckon_with() -> None:
    assert BATCH_LIMIT <= MOST_ON_THE_WAY
