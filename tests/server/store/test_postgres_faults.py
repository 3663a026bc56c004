"""What is lost with a connection to PostgreSQL is never a commit, nor the truth about one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import asyncpg
import pytest

from inferry.server.errors import InferryError, UnavailableError
from inferry.server.store import StoreError
from inferry.server.store.operations import Insert, Operation, PutServer, RequestKey
from inferry.server.store.postgres import locks
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Accept, Cancel, Fail, Progress, Succeed
from tests.database_proxy import Cut, DatabaseProxy, database_proxy
from tests.postgres import on
from tests.server.store.opening import opened_postgres
from tests.server.store.samples import (
    NOW,
    SERVER,
    change,
    claim,
    dispatched,
    do,
    record_of,
    waiting,
)

COMMIT = b"COMMIT"
#: So many hit a connection between two steps, which is the rarest.
TERMINATIONS = 120
KEY = RequestKey("order-1", b"digest", NOW + 1)


class Lost:
    """A store behind a proxy that loses connections, and another that looks at the truth."""

    def __init__(self, store: PostgresStore, truth: PostgresStore, proxy: DatabaseProxy) -> None:
        self.store, self.truth, self.proxy = store, truth, proxy


@pytest.fixture
async def lost(postgres_url: str) -> AsyncIterator[Lost]:
    async with opened_postgres(postgres_url) as truth, database_proxy(postgres_url) as (proxy, url):
        options = PostgresOptions(url, statement_timeout_ms=2_000, lock_timeout_ms=1_000)
        store = PostgresStore(options, Random(1))
        await store.open()
        try:
            yield Lost(store, truth, proxy)
        finally:
            await store.close()


def mixed() -> list[Operation]:
    """Makes a batch with something of everything."""
    named: Insert = waiting("task_4", labels=b'{"job":"7"}')._replace(key=KEY)
    return [
        change("task_1", Accept()),
        change("task_1", Progress(40.0)),
        change("task_2", Fail("broken", "INTERNAL_ERROR", b"{}")),
        claim("task_3"),
        named,
    ]


async def prepare(store: PostgresStore) -> None:
    await do(store, dispatched("task_1"), dispatched("task_2"), waiting("task_3"))


async def is_done(lost: Lost) -> None:
    """Looks whether the batch is there, once and whole."""
    seqs = {"task_1": 4, "task_2": 3, "task_3": 2, "task_4": 1}
    for task_id, seq in seqs.items():
        assert (await record_of(lost.truth, task_id)).seq == seq
        events = await lost.truth.events(task_id, 0, 10)
        assert [event.seq for event in events] == list(range(1, seq + 1))


async def test_a_batch_takes_few_round_trips_whatever_is_in_it(lost: Lost) -> None:
    await prepare(lost.store)
    # Statements are prepared when they are first asked.
    await do(lost.store, *mixed())
    await do(lost.store, waiting("task_0")._replace(room=lambda *_counts: None))
    trips = []
    for batch in (
        [waiting(f"task_{number}") for number in range(5, 55)],
        [
            waiting(f"task_{number}")._replace(room=lambda *_counts: None)
            for number in range(55, 105)
        ],
        [change(f"task_{number}", Cancel()) for number in range(5, 105)],
        [change("task_1", Progress(50.0))],
        [
            waiting("task_105", labels=b'{"job":"7"}')._replace(key=KEY._replace(request_id="2")),
            change("task_1", Succeed(b"1")),
            change("task_3", Accept()),
            claim("task_4"),
        ],
    ):
        lost.proxy.asked.clear()
        await do(lost.store, *batch)
        trips.append(len(lost.proxy.asked))
    assert trips == [4, 5, 5, 5, 8]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
async def test_a_connection_that_is_lost_at_any_step_costs_nothing(
    postgres_url: str, lost: Lost, cut: Cut
) -> None:
    told: list[int] = []
    lost.store.listener = lambda logged: told.extend(one.position for one in logged)
    steps = 1
    place = 0
    while place < steps:
        await on(postgres_url, "DELETE FROM tasks")
        for table in ("events", "payloads", "outcomes", "attempts", "labels", "request_ids"):
            await on(postgres_url, f"DELETE FROM {table}")
        await prepare(lost.store)
        lost.proxy.asked.clear()
        lost.proxy.cut_at = place, cut
        results = await lost.store.commit(mixed())
        assert not [result for result in results if isinstance(result, InferryError)]
        await is_done(lost)
        if place == 0:
            steps = len(lost.proxy.asked)
        place += 1
        assert not lost.store.failed.is_set()
    assert steps > 8
    assert told == list(range(told[0], told[0] + len(told)))


async def test_a_commit_that_arrives_late_is_waited_for(lost: Lost) -> None:
    await prepare(lost.store)
    lost.proxy.cut = COMMIT, Cut.LATE
    lost.proxy.met.clear()
    committing = asyncio.ensure_future(lost.store.commit(mixed()))
    await lost.proxy.met.wait()
    # It cannot know yet.
    done, _ = await asyncio.wait([committing], timeout=0.3)
    assert not done
    assert lost.store.failed.is_set()
    lost.proxy.late.set()
    results = await committing
    assert not [result for result in results if isinstance(result, InferryError)]
    await is_done(lost)
    assert not lost.store.failed.is_set()


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
async def test_a_commit_whose_answer_was_lost_with_the_database_is_told_truly_when_it_is_back(
    lost: Lost, cut: Cut
) -> None:
    await prepare(lost.store)
    lost.proxy.cut = COMMIT, cut
    lost.proxy.away = True
    committing = asyncio.ensure_future(lost.store.commit(mixed()))
    await lost.store.failed.wait()
    done, _ = await asyncio.wait([committing], timeout=0.3)
    assert not done
    assert (await record_of(lost.truth, "task_1")).seq == (4 if cut is Cut.AFTER else 2)
    lost.proxy.away = False
    results = await committing
    assert not [result for result in results if isinstance(result, InferryError)]
    await is_done(lost)


async def test_closing_ends_the_wait_for_the_truth(lost: Lost) -> None:
    await prepare(lost.store)
    lost.proxy.cut = COMMIT, Cut.BEFORE
    lost.proxy.away = True
    committing = asyncio.ensure_future(lost.store.commit(mixed()))
    await lost.store.failed.wait()
    await lost.store.close()
    with pytest.raises(StoreError, match="nobody knows"):
        await committing


async def test_commits_are_refused_while_the_database_is_away_and_go_on_when_it_is_back(
    lost: Lost,
) -> None:
    await prepare(lost.store)
    lost.proxy.lose_all()
    with pytest.raises(StoreError, match="away"):
        await lost.store.commit(mixed())
    assert lost.store.failed.is_set()
    with pytest.raises(StoreError, match="away"):
        await lost.store.commit(mixed())
    with pytest.raises(StoreError, match="cannot use"):
        await lost.store.recover()
    with pytest.raises(StoreError, match="cannot read"):
        await lost.store.task("task_1")
    assert (await record_of(lost.truth, "task_1")).seq == 2
    lost.proxy.away = False
    await lost.store.recover()
    assert not lost.store.failed.is_set()
    await lost.store.commit(mixed())
    await is_done(lost)


async def test_killed_backends_are_not_noticed(postgres_url: str, lost: Lost) -> None:
    await prepare(lost.store)
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await on(postgres_url, kill)
    assert (await record_of(lost.store, "task_1")).seq == 2
    await lost.store.commit(mixed())
    await is_done(lost)


async def test_a_task_that_somebody_keeps_locked_holds_up_no_other(
    postgres_url: str, lost: Lost
) -> None:
    store = PostgresStore(PostgresOptions(postgres_url, lock_timeout_ms=100))
    await store.open()
    await prepare(store)
    stranger = await asyncpg.connect(postgres_url)
    try:
        async with stranger.transaction():
            await stranger.execute("SELECT 1 FROM tasks WHERE id = 'task_1' FOR UPDATE")
            for name in ("task_8", "task_9"):
                done = await store.commit([waiting(name), change("task_1", Accept())])
                assert isinstance(done[1], UnavailableError)
                assert await store.task(name) is not None
            assert not store.failed.is_set()
            # It is known now, and waited for no more.
            assert store._own.barred == {"task_1"}
            await do(store, change("task_2", Accept()))
        await do(store, change("task_1", Accept()))
        assert not store._own.barred
    finally:
        await stranger.close()
        await store.close()


async def test_what_is_known_to_be_locked_costs_the_others_no_round_trip(
    postgres_url: str, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_LOOK_S", 3_600.0)
    await prepare(lost.store)
    stranger, trips = await asyncpg.connect(postgres_url), []
    try:
        async with stranger.transaction():
            for seen in (False, False, True, True):
                if seen and not lost.store._own.barred:
                    await stranger.execute("SELECT 1 FROM tasks WHERE id = 'task_1' FOR UPDATE")
                    await lost.store.commit([change("task_1", Accept())])
                    # One look at what nobody asks for, and no more before long.
                    await do(lost.store, change("task_2", Progress(1.0)))
                lost.proxy.asked.clear()
                await do(lost.store, change("task_2", Progress(1.0)))
                trips.append(len(lost.proxy.asked))
            assert lost.store._own.barred == {"task_1"}
    finally:
        await stranger.close()
    assert trips == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("row", "needs_it"),
    [
        ("FROM servers", PutServer(SERVER)),
        ("FROM revisions", PutServer(replace(SERVER, id="srv_new", name="new"))),
        ("FROM waiting WHERE type = 'held'", waiting("task_h", type="held")),
        ("FROM request_ids", waiting("task_k")._replace(key=KEY)),
    ],
)
async def test_a_row_that_somebody_keeps_locked_costs_only_what_needs_it(
    postgres_url: str, row: str, needs_it: Operation
) -> None:
    store = PostgresStore(PostgresOptions(postgres_url, lock_timeout_ms=200))
    await store.open()
    named = waiting("task_1", type="held")._replace(key=KEY)
    await do(store, named, PutServer(SERVER), dispatched("task_2"))
    stranger = await asyncpg.connect(postgres_url)
    try:
        async with stranger.transaction():
            assert await stranger.fetch(f"SELECT 1 {row} FOR UPDATE")
            for name in ("task_8", "task_9"):
                first, refused, last = await store.commit(
                    [waiting(name), needs_it, change("task_2", Progress(1.0))]
                )
                assert isinstance(refused, UnavailableError), refused
                assert not isinstance(first, InferryError)
                assert not isinstance(last, InferryError)
                assert await store.task(name) is not None
            assert not store.failed.is_set()
        await do(store, needs_it)
        assert [event.seq for event in await store.events("task_2", 0, 9)] == [1, 2, 3, 4]
    finally:
        await stranger.close()
        await store.close()


async def test_a_replica_whose_own_row_somebody_keeps_locked_says_so_and_goes_on_when_it_is_free(
    postgres_url: str,
) -> None:
    store = PostgresStore(PostgresOptions(postgres_url, lock_timeout_ms=100))
    await store.open()
    stranger = await asyncpg.connect(postgres_url)
    try:
        async with stranger.transaction():
            await stranger.execute("SELECT 1 FROM replicas FOR UPDATE")
            with pytest.raises(StoreError, match="lock timeout"):
                await store.commit([waiting("task_1")])
            assert store.failed.is_set()
            with pytest.raises(StoreError):
                await store.recover()
        await store.recover()
        assert not store.failed.is_set()
        await do(store, waiting("task_1"))
        assert [event.seq for event in await store.events("task_1", 0, 9)] == [1]
    finally:
        await stranger.close()
        await store.close()


async def test_reads_wait_for_a_connection_no_longer_than_they_may(postgres_url: str) -> None:
    options = PostgresOptions(postgres_url, connections=1, connect_timeout_ms=200)
    store = PostgresStore(options)
    await store.open()
    try:
        await do(store, waiting("task_1"))
        assert store._pool is not None
        async with store._pool.acquire():
            with pytest.raises(StoreError, match="cannot read"):
                await store.task("task_1")
        assert await store.task("task_1") is not None
    finally:
        await store.close()


async def test_a_read_whose_connection_is_terminated_at_any_moment_is_a_read_that_failed(
    postgres_url: str,
) -> None:
    ends, stopped, stranger = Counter[str](), asyncio.Event(), await asyncpg.connect(postgres_url)

    async def read(store: PostgresStore) -> None:
        while not stopped.is_set():
            try:
                assert await store.task("task_1") is None
            except StoreError:
                ends["failed"] += 1
            else:
                ends["done"] += 1

    async with opened_postgres(postgres_url) as store:
        reading = [asyncio.create_task(read(store)) for _ in range(12)]
        for number in range(TERMINATIONS):
            await stranger.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            # Not always at the same step of a connection that is being made.
            await asyncio.sleep(0.003 * (number % 7))
        stopped.set()
        await asyncio.gather(*reading)
    await stranger.close()
    assert ends["failed"]


async def test_a_database_that_lost_commits_is_not_written_to(
    postgres_url: str, lost: Lost
) -> None:
    await prepare(lost.store)
    await on(
        postgres_url, f"UPDATE replicas SET commits = 0 WHERE number = {lost.store.epoch.number}"
    )
    lost.proxy.lose_all()
    lost.proxy.away = False
    with pytest.raises(StoreError, match="lost commits that it had acknowledged"):
        await lost.store.commit(mixed())
    with pytest.raises(StoreError, match="lost commits that it had acknowledged"):
        await lost.store.recover()


async def test_a_replica_that_others_took_over_from_writes_nothing(
    postgres_url: str, lost: Lost
) -> None:
    await prepare(lost.store)
    await on(
        postgres_url, f"UPDATE replicas SET dead = TRUE WHERE number = {lost.store.epoch.number}"
    )
    with pytest.raises(StoreError, match="took over"):
        await lost.store.commit([change("task_1", Accept())])
    assert (await record_of(lost.truth, "task_1")).seq == 2
