"""What is kept of webhooks does not grow for ever, and what waits for nobody is given up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from inferry.server.engine.committer import Committer
from inferry.server.engine.company import Company
from inferry.server.store import Store
from inferry.server.store.webhooks import PutHook
from inferry.server.task.inputs import Succeed
from inferry.server.webhooks.addressing import Addressing
from inferry.server.webhooks.upkeep import Upkeep
from tests.server.fleets import HandClock
from tests.server.store.opening import opened
from tests.server.store.promises.webhooks import HOOK, LATER, claimed, settle
from tests.server.store.samples import change, dispatched, do

LIMIT, KEEP_MS = 3, 1_000
PLAIN = HOOK._replace(types=(), labels=())


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with opened(":memory:") as store:
        store.addressees = Addressing("http://gateway", asyncio.Event(), LIMIT)
        await do(store, PutHook(PLAIN, 10))
        yield store


@pytest.fixture
def clock() -> HandClock:
    clock = HandClock()
    clock.ms = LATER
    return clock


@pytest.fixture
def upkeep(store: Store, clock: HandClock) -> Upkeep:
    addressing = store.addressees
    assert isinstance(addressing, Addressing)
    return Upkeep(
        store=store,
        committer=Committer(store),
        addressing=addressing,
        company=Company(),
        clock=clock,
        keep_ms=KEEP_MS,
        waiting_limit=LIMIT,
    )


async def ended(store: Store, *names: str) -> None:
    for name in names:
        await do(store, dispatched(name), change(name, Succeed(b"1")))


async def test_a_webhook_that_nobody_can_reach_is_disabled(store: Store, upkeep: Upkeep) -> None:
    await ended(store, "task_1", "task_2")
    await upkeep.run_once()
    hook = await store.hook(PLAIN.id, None)
    assert hook is not None
    assert not hook.disabled
    await ended(store, "task_3")
    await upkeep.run_once()
    hook = await store.hook(PLAIN.id, None)
    assert hook is not None
    assert hook.disabled == "3 deliveries waited for it"
    (one,) = await store.deliveries("task_1", None, 10)
    assert one.state.name == "FAILED"
    await ended(store, "task_4")
    assert await store.deliveries("task_4", None, 10) == []


async def test_a_webhook_that_takes_much_is_not(store: Store, upkeep: Upkeep) -> None:
    for number in range(LIMIT + 1):
        await ended(store, f"task_{number}")
        await do(store, *map(settle, await claimed(store)))
    await upkeep.run_once()
    hook = await store.hook(PLAIN.id, None)
    assert hook is not None
    assert not hook.disabled


async def test_what_was_told_is_dropped_when_it_was_kept_long_enough(
    store: Store, upkeep: Upkeep, clock: HandClock
) -> None:
    await ended(store, "task_1", "task_2")
    first, _ = await claimed(store)
    await do(store, settle(first))
    clock.ms = LATER + KEEP_MS - 1
    await upkeep.run_once()
    assert await store.deliveries(first.key.task_id, None, 10)
    clock.ms = LATER + 100_000
    await upkeep.run_once()
    assert await store.deliveries(first.key.task_id, None, 10) == []
    (left,) = {"task_1", "task_2"} - {first.key.task_id}
    assert await store.deliveries(left, None, 10)
