"""Group commit over the real store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from inferry.server.engine.committer import BATCH_LIMIT, RETRY_S, Committer
from inferry.server.errors import InferryError, TaskNotFoundError, UnavailableError
from inferry.server.store import StoreError
from inferry.server.store.operations import Change, Insert, Operation, Result
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.lifecycle import create
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import SPEC


class CountingStore(SqliteStore):
    """Remembers the sizes of its batches; may be told to fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []
        self.failure: Exception | None = None

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        self.batches.append(len(operations))
        if self.failure is not None:
            raise self.failure
        return await super().commit(operations)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    store = CountingStore(tmp_path / "test.db")
    await store.open()
    yield store
    await store.close()


def insert(name: str) -> Insert:
    record, event = create(SPEC._replace(id=name), 0)
    return Insert(record, b"{}", (event,))


def ignore(_: object) -> None:
    pass


async def test_what_comes_while_a_commit_runs_shares_the_next_one(store: CountingStore) -> None:
    committer = Committer(store)
    await asyncio.gather(
        *(committer.do(insert(f"task_{n}"), ignore) for n in range(BATCH_LIMIT + 10))
    )
    assert store.batches == [BATCH_LIMIT, 10]


async def test_what_the_loop_has_ready_joins_the_commit(store: CountingStore) -> None:
    committer = Committer(store)
    first = asyncio.create_task(committer.do(insert("task_1"), ignore))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await committer.do(insert("task_2"), ignore)
    await first
    assert store.batches == [2]


async def test_a_refused_operation_does_not_fail_its_neighbours(store: CountingStore) -> None:
    committer = Committer(store)
    settled: list[object] = []
    change = Change("task_none", lambda _: None)
    results = await asyncio.gather(
        committer.do(insert("task_1"), settled.append),
        committer.do(change, settled.append),
        return_exceptions=True,
    )
    assert [type(one) for one in results] == [TaskRecord, TaskNotFoundError]
    assert settled == list(results)


async def test_what_is_given_together_has_each_its_result_in_its_place(
    store: CountingStore,
) -> None:
    committer = Committer(store)
    settled: list[object] = []
    refused = Change("task_none", lambda _: None)
    operations: list[Operation] = [insert("task_1"), refused, insert("task_2")]
    results = await committer.do_all([(one, settled.append) for one in operations])
    assert [type(one) for one in results] == [TaskRecord, TaskNotFoundError, TaskRecord]
    assert settled == results
    assert store.batches == [3]
    assert await committer.do_all([]) == []


async def test_what_is_given_together_may_take_more_than_one_commit(store: CountingStore) -> None:
    names = [f"task_{n}" for n in range(2 * BATCH_LIMIT + 10)]
    results = await Committer(store).do_all([(insert(name), ignore) for name in names])
    assert [record.spec.id for record in results] == names
    assert store.batches == [BATCH_LIMIT, BATCH_LIMIT, 10]


async def test_what_is_given_together_is_refused_together_when_too_many_wait(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferry.server.engine.committer.WAITING_LIMIT", 1)
    settled: list[object] = []
    orders = [(insert("task_1"), settled.append), (insert("task_2"), settled.append)]
    results = await Committer(store).do_all(orders)
    assert [type(one) for one in results] == [UnavailableError] * 2
    assert settled == results
    assert await store.task("task_1") is None


async def test_an_operation_settles_even_if_its_caller_has_gone(store: CountingStore) -> None:
    committer = Committer(store)
    settled = asyncio.get_running_loop().create_future()
    caller = asyncio.create_task(committer.do(insert("task_1"), settled.set_result))
    await asyncio.sleep(0)
    caller.cancel()
    assert isinstance(await settled, TaskRecord)
    assert await store.task("task_1") is not None


async def test_a_store_that_cannot_write_refuses_the_whole_batch_and_the_next_may_pass(
    store: CountingStore,
) -> None:
    committer = Committer(store)
    store.failure = StoreError("disk full")
    settled: list[object] = []
    for _ in range(2):
        with pytest.raises(UnavailableError) as refusal:
            await committer.do(insert("task_1"), settled.append)
        assert refusal.value.retry_after_s == RETRY_S
    assert [type(one) for one in settled] == [UnavailableError] * 2
    store.failure = None
    await committer.do(insert("task_1"), ignore)


async def test_a_decision_that_breaks_leaves_nobody_waiting(store: CountingStore) -> None:
    def broken(_: TaskRecord) -> Transition | None:
        raise ZeroDivisionError

    committer = Committer(store)
    await committer.do(insert("task_1"), ignore)
    with pytest.raises(InferryError, match="internal error"):
        await committer.do(Change("task_1", broken), ignore)
    assert isinstance(await committer.do(Change("task_1", lambda _: None), ignore), TaskRecord)


async def test_an_operation_that_comes_when_too_many_wait_settles_as_refused(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferry.server.engine.committer.WAITING_LIMIT", 1)
    committer = Committer(store)
    settled: list[object] = []
    first = asyncio.create_task(committer.do(insert("task_1"), ignore))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError) as refusal:
        await committer.do(insert("task_2"), settled.append)
    assert settled == [refusal.value]
    await first


async def test_what_breaks_after_a_commit_leaves_nobody_waiting(store: CountingStore) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    committer = Committer(store)
    async with asyncio.timeout(10):
        await asyncio.gather(
            committer.do(insert("task_1"), broken), committer.do(insert("task_2"), ignore)
        )


async def test_drain_waits_for_everything(store: CountingStore) -> None:
    committer = Committer(store)
    doing = asyncio.create_task(committer.do(insert("task_1"), ignore))
    await asyncio.sleep(0)
    await committer.drain()
    assert await store.task("task_1") is not None
    await doing
