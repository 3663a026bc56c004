"""Several replicas on one PostgreSQL, and what only such a database can get wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random

import pytest

from inferry.server.errors import InferryError
from inferry.server.store import EPOCHS_KEPT, POSITION_BITS, StoreError, TaskFilter
from inferry.server.store.operations import (
    Claimed,
    DropServer,
    Logged,
    Purge,
    PutServer,
    Replayed,
    RequestKey,
)
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Accept, Cancel, Progress
from inferry.server.task.record import TaskRecord
from tests.postgres import clean, database, on
from tests.server.store.opening import opened_postgres
from tests.server.store.promises.replicas import ReplicaConformance
from tests.server.store.samples import (
    NOW,
    SERVER,
    change,
    claim,
    claimed_ids,
    dispatched,
    do,
    record_of,
    waiting,
)

REPLICAS = 3


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[list[PostgresStore]]:
    async with AsyncExitStack() as stack:
        opening = (opened_postgres(postgres_url) for _ in range(REPLICAS))
        yield [await stack.enter_async_context(one) for one in opening]


class TestReplicas(ReplicaConformance):
    """What holds for the log of several."""


async def test_what_was_committed_is_there_after_reopening(postgres_url: str) -> None:
    async with opened_postgres(postgres_url) as store:
        await do(store, dispatched("task_1"), change("task_1", Progress(30.0, "a third")))
        before = await record_of(store, "task_1")
    async with opened_postgres(postgres_url) as store:
        assert await record_of(store, "task_1") == before
        await do(store, change("task_1", Accept()))
        assert [event.seq for event in await store.events("task_1", 0, 10)] == [1, 2, 3, 4]


async def test_replicas_that_start_at_once_make_the_schema_once_and_each_have_an_epoch(
    postgres: str,
) -> None:
    async with database(postgres) as url:
        stores = [PostgresStore(PostgresOptions(url)) for _ in range(8)]
        try:
            await asyncio.gather(*(store.open() for store in stores))
            numbers = sorted(store.epoch.number for store in stores)
            assert numbers == list(range(1, 9))
            assert len({store.epoch.tag for store in stores}) == 8
        finally:
            for store in stores:
                await store.close()


async def test_what_ended_long_ago_and_left_nothing_is_forgotten(postgres_url: str) -> None:
    async with opened_postgres(postgres_url) as store:
        await do(store, waiting("task_1"))
        first = store.epoch.number
    async with opened_postgres(postgres_url):
        pass
    async with opened_postgres(postgres_url) as store:
        # Others that began since then.
        await on(
            postgres_url, f"UPDATE replicas SET number = number + {EPOCHS_KEPT} WHERE NOT dead"
        )
        async with opened_postgres(postgres_url):
            rows = await on(postgres_url, "SELECT number FROM replicas ORDER BY number")
        numbers = [number for (number,) in rows]
        assert numbers == [first, first + EPOCHS_KEPT + 2, first + EPOCHS_KEPT + 3]
        await on(
            postgres_url, f"UPDATE replicas SET number = number - {EPOCHS_KEPT} WHERE NOT dead"
        )


async def test_a_claim_gives_each_task_to_one_replica(replicas: list[PostgresStore]) -> None:
    ids = [f"task_{number}" for number in range(200)]
    await do(replicas[0], *map(waiting, ids))
    turns = Random(7)

    async def take(store: PostgresStore) -> list[str]:
        taken: list[str] = []
        for _ in range(10):
            wanted = turns.sample(ids, 50)
            taken += await claimed_ids(store, claim(*wanted, server_id=f"srv_{store.epoch.number}"))
        return taken

    taken = await asyncio.gather(*map(take, replicas))
    everything = [task_id for one in taken for task_id in one]
    assert len(everything) == len(set(everything)) > 150
    for store, own in zip(replicas, taken, strict=True):
        for task_id in own:
            record = await record_of(store, task_id)
            assert (record.server_id, record.attempt) == (f"srv_{store.epoch.number}", 1)


async def test_no_change_of_one_replica_is_lost_to_that_of_another(
    replicas: list[PostgresStore],
) -> None:
    ids = [f"task_{number}" for number in range(20)]
    await do(replicas[0], *map(dispatched, ids))
    turns = Random(7)

    async def report(store: PostgresStore) -> None:
        for _ in range(20):
            # In any order: rows are locked in one.
            await do(store, *(change(task_id, Progress(1.0)) for task_id in turns.sample(ids, 20)))

    await asyncio.gather(*map(report, replicas))
    for task_id in ids:
        seqs = [event.seq for event in await replicas[0].events(task_id, 0, 1_000)]
        assert seqs == list(range(1, 2 + 20 * REPLICAS + 1))


async def test_a_request_creates_one_task_whichever_replicas_it_is_sent_to(
    replicas: list[PostgresStore],
) -> None:
    for round_ in range(20):
        key = RequestKey(f"order-{round_}", b"digest", NOW + 1)
        results = await asyncio.gather(
            *(
                store.commit([waiting(f"task_{round_}_{place}")._replace(key=key)])
                for place, store in enumerate(replicas)
            )
        )
        made = [one for (one,) in results if isinstance(one, TaskRecord)]
        assert len(made) == 1
        assert [one for (one,) in results if one not in made] == [Replayed(made[0])] * 2


async def test_names_whose_time_is_over_are_taken_by_one_replica(
    replicas: list[PostgresStore],
) -> None:
    old = RequestKey("order-1", b"old", NOW + 1)
    await do(replicas[0], waiting("task_old")._replace(key=old))
    new = RequestKey("order-1", b"new", 2 * NOW)
    results = await asyncio.gather(
        *(
            store.commit([waiting(f"task_{place}", created_ms=NOW + 1)._replace(key=new)])
            for place, store in enumerate(replicas)
        )
    )
    made = [one for (one,) in results if isinstance(one, TaskRecord)]
    assert len(made) == 1


async def test_positions_of_each_replica_have_no_hole_and_the_log_no_event_before_its_cause(
    replicas: list[PostgresStore],
) -> None:
    ids = [f"task_{number}" for number in range(10)]
    await do(replicas[0], *map(dispatched, ids))
    turns = Random(7)

    async def report(store: PostgresStore) -> None:
        for _ in range(30):
            await do(store, *(change(task_id, Progress(1.0)) for task_id in turns.sample(ids, 3)))

    told: list[Logged] = []
    for store in replicas:
        store.listener = told.extend
    await asyncio.gather(*map(report, replicas))
    logged = await replicas[1].logged({}, 1_000)
    assert logged is not None
    assert len(logged) == 2 * 10 + 3 * 30 * 3
    seen: dict[str, int] = dict.fromkeys(ids, 0)
    heads: dict[int, int] = {}
    for one in logged:
        seen[one.event.task_id] += 1
        assert one.event.seq == seen[one.event.task_id]
        number, n = divmod(one.position, 1 << POSITION_BITS)
        heads[number] = heads.get(number, 0) + 1
        assert n == heads[number]
    assert heads == await replicas[2].heads()
    assert len(heads) == REPLICAS
    # Who hears of its own events knows what of others they follow on.
    before = {(one.event.task_id, one.event.seq + 1): one.position for one in logged}
    for one in told:
        cause = before[one.event.task_id, one.event.seq]
        elsewhere = cause >> POSITION_BITS != one.position >> POSITION_BITS
        assert one.after == (cause if elsewhere else 0)


async def test_replicas_that_wait_for_each_other_both_go_on(replicas: list[PostgresStore]) -> None:
    one, other, _ = replicas
    await do(one, *(dispatched(f"task_{number}") for number in range(4)))

    async def sweep(store: PostgresStore, *numbers: int) -> None:
        for _ in range(20):
            first, second = numbers
            # A sweep in the middle: what follows is locked later, and in no order.
            await do(
                store,
                change(f"task_{first}", Progress(1.0)),
                Purge(NOW, 10, 0),
                change(f"task_{second}", Progress(1.0)),
            )

    await asyncio.gather(sweep(one, 0, 1), sweep(other, 1, 0))
    assert (await record_of(one, "task_0")).seq == 2 + 40


async def test_changes_of_servers_and_pauses_are_counted(
    postgres_url: str, replicas: list[PostgresStore]
) -> None:
    ((before,),) = await on(postgres_url, "SELECT servers FROM revisions")
    await do(replicas[0], PutServer(SERVER))
    await do(replicas[1], DropServer(SERVER.id))
    ((after,),) = await on(postgres_url, "SELECT servers FROM revisions")
    assert after == before + 2


async def test_another_tenants_task_takes_the_same_look_ups_as_none(
    postgres_url: str, replicas: list[PostgresStore]
) -> None:
    store = replicas[0]
    await do(store, waiting("task_1"))
    asked: list[str] = []
    assert store._writer._db is not None
    store._writer._db.add_query_logger(lambda query: asked.append(query.query))
    await store.commit([change("task_1", Cancel(), tenant="other")])
    of_another, asked = asked, []
    await store.commit([change("task_2", Cancel(), tenant="other")])
    assert of_another == asked != []


async def test_a_password_is_in_no_error() -> None:
    url = "postgresql://inferry:secret@127.0.0.1:1/tasks"
    with pytest.raises(StoreError, match=r"cannot open .*127\.0\.0\.1:1/tasks") as refused:
        await PostgresStore(PostgresOptions(url)).open()
    assert "secret" not in str(refused.value)


async def test_a_database_of_another_encoding_is_refused(postgres: str) -> None:
    name = "inferry_latin1"
    await on(
        postgres,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    try:
        url = postgres.rpartition("/")[0] + f"/{name}"
        with pytest.raises(StoreError, match="encoding LATIN1: UTF8 is needed"):
            await PostgresStore(PostgresOptions(url)).open()
    finally:
        await on(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def test_everything_is_gone_when_a_test_begins(postgres_url: str) -> None:
    async with opened_postgres(postgres_url) as store:
        result = await store.commit([waiting("task_1"), claim("task_1")])
        assert not [one for one in result if isinstance(one, InferryError)]
        assert isinstance(result[1], list)
        assert isinstance(result[1][0], Claimed)
    await clean(postgres_url)
    async with opened_postgres(postgres_url) as store:
        assert await store.tasks(TaskFilter(), None, 10) == []
        assert store.epoch.number == 1
