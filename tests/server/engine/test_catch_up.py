"""What is shown of servers while the store cannot tell what others changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from inferry.server.engine import catch_up
from inferry.server.store import StoreError
from tests.server.registries import Servers
from tests.server.store.opening import opened


async def refuse() -> None:
    raise StoreError("the database is away")


async def hang() -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    async with opened(tmp_path / "inferry.db") as store:
        yield Servers(store)


@pytest.mark.parametrize("follow", [refuse, hang])
async def test_what_was_known_last_is_shown_and_nobody_says_that_something_is_not_there(
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    follow: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    monkeypatch.setattr(catch_up, "_PATIENCE_S", 0.01)
    member, registry = await servers.register(), servers.registry
    servers.catch_up.follow = follow
    assert await registry.find(member.record.id) is member
    assert await registry.find_all() == [member]
    for call in (
        registry.find("srv_x"),
        registry.heartbeat("srv_x", None),
        registry.drain("srv_x", draining=True),
        registry.deregister("srv_x", 0),
    ):
        with pytest.raises(StoreError, match="nobody can be asked"):
            await call


async def test_who_is_broken_off_leaves_nothing_half_done() -> None:
    going, done, abreast = asyncio.Event(), asyncio.Event(), catch_up.CatchUp()

    async def follow() -> None:
        await going.wait()
        done.set()

    abreast.follow = follow
    call = asyncio.create_task(abreast.now())
    await asyncio.sleep(0)
    call.cancel()
    going.set()
    async with asyncio.timeout(10):
        await done.wait()
    assert call.cancelled()
