"""Claims of replicas that all see the same queue: nobody gets a task twice, or a slot in vain."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from inferry.server.store.operations import ClaimTasks, PauseType
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Cancel
from inferry.server.task.pause import PausedType
from tests.server.store.opening import opened_postgres
from tests.server.store.samples import NOW, change, claim, claimed_ids, do, waiting


@pytest.fixture
async def pair(postgres_url: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(opened_postgres(postgres_url)) for _ in range(2)
        ]
        yield one, other


async def claimed_together(store: PostgresStore, *claims: ClaimTasks) -> list[list[str]]:
    results = await store.commit(claims)
    return [[one.transition.record.spec.id for one in result] for result in results]  # type: ignore[union-attr]


async def test_in_place_of_a_task_that_another_has_comes_the_next_of_its_line(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    tasks = [waiting(f"task_{n}", created_ms=NOW + n) for n in range(5)]
    lines = [
        waiting("other_tenant", tenant="globex"),
        waiting("other_priority", priority=9),
        waiting("other_route", capabilities=("gpu",)),
    ]
    await do(one, *tasks, *lines)
    assert await claimed_ids(one, claim("task_0", "task_2")) == ["task_0", "task_2"]
    named = claim("task_0", "task_1", "task_2", now_ms=NOW + 9)
    assert await claimed_ids(other, named) == ["task_3", "task_1", "task_4"]
    assert await claimed_ids(other, named) == []


async def test_what_is_delayed_paused_or_at_an_end_takes_no_place(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await do(
        one,
        waiting("task_0"),
        waiting("task_1", not_before_ms=NOW + 60_000),
        waiting("task_2"),
        waiting("task_3"),
        waiting("draw_0", type="draw"),
        waiting("draw_1", type="draw"),
    )
    await do(one, claim("task_0"), claim("draw_0"), change("task_2", Cancel("no")))
    await do(one, PauseType(PausedType("draw", "no", NOW)))
    assert await claimed_ids(other, claim("task_0", "draw_0")) == ["task_3"]


async def test_what_somebody_keeps_locked_is_passed_over(
    pair: tuple[PostgresStore, PostgresStore], postgres_url: str
) -> None:
    _, other = pair
    await do(other, *(waiting(f"task_{n}") for n in range(3)))
    db = await asyncpg.connect(postgres_url)
    try:
        async with db.transaction():
            await db.execute("SELECT FROM tasks WHERE id <> 'task_2' FOR NO KEY UPDATE")
            assert await claimed_ids(other, claim("task_0")) == ["task_2"]
    finally:
        await db.close()


async def test_claims_of_one_commit_take_nothing_from_each_other(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await do(one, *(waiting(f"task_{n}") for n in range(6)))
    await do(one, claim("task_0", "task_3"))
    assert await claimed_together(
        other,
        claim("task_0", "task_1", server_id="srv_a"),
        claim("task_2", "task_3", server_id="srv_b"),
    ) == [["task_4", "task_1"], ["task_2", "task_5"]]


async def test_a_task_that_the_same_commit_ends_is_in_nobodys_place(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await do(one, *(waiting(f"task_{n}") for n in range(3)))
    await do(one, claim("task_0"))
    (_, result) = await other.commit([change("task_1", Cancel("no")), claim("task_0")])
    assert [one.transition.record.spec.id for one in result] == ["task_2"]  # type: ignore[union-attr]
