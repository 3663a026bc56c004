"""Replicas on one database: who lives, whose servers are, what they tell each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from inferry.server.errors import NotOwnerError
from inferry.server.fleet.record import ServerRecord, Transport
from inferry.server.store import StoreError
from inferry.server.store.operations import (
    ClaimTasks,
    DrainServer,
    DropServer,
    Insert,
    PauseType,
    PutServer,
)
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Cancel, Claim, Progress
from inferry.server.task.lifecycle import apply
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from tests.postgres import on
from tests.server.situations import RULES
from tests.server.store.samples import NOW, SERVER, change, claim, dispatched, do, waiting

#: So short a lease is over at once.
BRIEF_MS = 1
WORKER = replace(SERVER, id="srv_w", url="", name="w", tenant="acme", transport=Transport.GRPC)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def opened(stack: AsyncExitStack, url: str, lease_ms: int = 60_000) -> PostgresStore:
    store = PostgresStore(PostgresOptions(url, lease_ms=lease_ms))
    await store.open()
    stack.push_async_callback(store.close)
    return store


@pytest.fixture
async def pair(stack: AsyncExitStack, postgres_url: str) -> tuple[PostgresStore, PostgresStore]:
    return await opened(stack, postgres_url), await opened(stack, postgres_url)


async def owners(store: PostgresStore) -> dict[str, int | None]:
    return {one.record.id: one.record.owner for one in await store.shared.servers()}


async def put(store: PostgresStore, record: ServerRecord = SERVER) -> ServerRecord:
    (stored,) = await store.commit([PutServer(record)])
    assert isinstance(stored, ServerRecord)
    return stored


def claim_for(server_id: str, *task_ids: str) -> ClaimTasks:
    return replace(claim(*task_ids, server_id=server_id), server_id=server_id)


async def test_a_new_server_is_whose_it_registered_with_and_stays_so(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    assert (await put(one)).owner == one.epoch.number
    assert (await put(other, replace(SERVER, id="srv_2"))).owner == one.epoch.number
    (drained,) = await other.commit([DrainServer("srv_1", True)])
    assert isinstance(drained, ServerRecord)
    assert drained.owner == one.epoch.number
    (kept,) = await other.shared.servers()
    assert (kept.record.draining, kept.asked) == (True, 3)


async def test_a_worker_is_whose_it_dialled_last(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    assert (await put(one, WORKER)).owner == one.epoch.number
    assert (await put(other, WORKER)).owner == other.epoch.number


def at_once(task_id: str) -> Insert:
    """Creates a task that a server gets at once."""
    given = waiting(task_id)
    return given._replace(claimed=apply(given.record, Claim("srv_1"), NOW, RULES))


async def test_only_the_owner_gives_a_server_tasks(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await put(one)
    await do(one, waiting("task_1"), waiting("task_2"))
    refused, waits = await other.commit([claim_for("srv_1", "task_1"), at_once("task_3")])
    assert isinstance(refused, NotOwnerError)
    assert isinstance(waits, TaskRecord)
    assert waits.waiting
    assert await one.shared.give({"srv_1": other.epoch.number}) == {"srv_1": other.epoch.number}
    (refused,) = await one.commit([claim_for("srv_1", "task_1")])
    assert isinstance(refused, NotOwnerError)
    claimed, added = await other.commit([claim_for("srv_1", "task_1"), at_once("task_4")])
    assert isinstance(claimed, list)
    assert len(claimed) == 1
    assert isinstance(added, TaskRecord)
    assert added.running


async def test_a_server_is_given_only_by_its_owner_and_only_to_who_lives(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await put(one)
    assert await other.shared.give({"srv_1": other.epoch.number}) == {}
    assert await one.shared.give({"srv_1": other.epoch.number + 1, "srv_0": 1}) == {}
    assert await other.shared.take(["srv_1"]) == []
    assert await owners(one) == {"srv_1": one.epoch.number}


async def test_what_a_closed_replica_had_can_be_taken(
    stack: AsyncExitStack, postgres_url: str
) -> None:
    one, other = await opened(stack, postgres_url), await opened(stack, postgres_url)
    await put(one)
    await one.close()
    assert [each.number for each in (await other.shared.survey()).replicas] == [other.epoch.number]
    assert await other.shared.take(["srv_1", "srv_2"]) == ["srv_1"]
    assert await owners(other) == {"srv_1": other.epoch.number}


async def test_who_does_not_renew_in_time_is_taken_over_from_and_commits_nothing_more(
    stack: AsyncExitStack, postgres_url: str
) -> None:
    late = await opened(stack, postgres_url, BRIEF_MS)
    other = await opened(stack, postgres_url)
    await put(late)
    await do(late, waiting("task_1"))
    over = {one.number: one.over for one in (await other.shared.survey()).replicas}
    assert over == {late.epoch.number: True, other.epoch.number: False}
    assert await other.shared.bury() == [late.epoch.number]
    assert await owners(other) == {"srv_1": None}
    with pytest.raises(StoreError, match="another replica took over"):
        await late.commit([change("task_1", Cancel())])
    assert late.shared.lost.is_set()
    for call in (late.shared.renew(draining=False), late.shared.take(["srv_1"])):
        with pytest.raises(StoreError, match="another replica took over"):
            await call
    record = await other.task("task_1")
    assert record is not None
    assert record.waiting


async def test_who_renews_late_but_before_anybody_minded_goes_on(
    stack: AsyncExitStack, postgres_url: str
) -> None:
    late = await opened(stack, postgres_url, BRIEF_MS)
    other = await opened(stack, postgres_url)
    late.shared._options = replace(late.shared._options, lease_ms=60_000)
    await late.shared.renew(draining=True)
    assert await other.shared.bury() == []
    found = [one for one in (await other.shared.survey()).replicas if one.draining]
    assert [one.number for one in found] == [late.epoch.number]
    await do(late, waiting("task_1"))


async def test_nobody_buries_itself(stack: AsyncExitStack, postgres_url: str) -> None:
    late = await opened(stack, postgres_url, BRIEF_MS)
    assert await late.shared.bury() == []
    await do(late, waiting("task_1"))


async def test_who_is_in_the_middle_of_a_commit_is_buried_the_next_time(
    stack: AsyncExitStack, postgres_url: str
) -> None:
    late = await opened(stack, postgres_url, BRIEF_MS)
    other = await opened(stack, postgres_url)
    held, go_on = asyncio.Event(), asyncio.Event()
    give = late._writer._finish

    async def hold(*given: object) -> None:
        held.set()
        await go_on.wait()
        await give(*given)  # type: ignore[arg-type]

    late._writer._finish = hold  # type: ignore[assignment,method-assign]
    late._options = late._writer._options
    committing = asyncio.ensure_future(do(late, waiting("task_1")))
    await held.wait()
    assert await other.shared.bury() == []
    go_on.set()
    await committing
    assert await other.shared.bury() == [late.epoch.number]


async def test_a_change_of_servers_or_pauses_is_seen_at_a_look(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    before = await other.shared.survey()
    await do(one, waiting("task_1"))
    assert (await other.shared.survey())[:2] == before[:2]
    for operation in (PutServer(SERVER), DrainServer("srv_1", True), DropServer("srv_1")):
        seen = await other.shared.survey()
        await one.commit([operation])
        assert (await other.shared.survey()).servers > seen.servers
    await one.commit([PauseType(PausedType("echo", "", NOW))])
    assert (await other.shared.survey()).pauses > before.pauses


async def test_a_server_is_asked_to_leave_and_stays_if_it_comes_back(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await put(one)
    for at_ms in (NOW + 50, NOW + 90):
        await other.shared.ask_to_leave("srv_1", at_ms)
        (kept,) = await one.shared.servers()
        assert kept.leaves_ms == NOW + 50
    await put(one)
    (kept,) = await one.shared.servers()
    assert kept.leaves_ms == 0


async def test_heartbeats_are_passed_on_and_go_with_their_server(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await put(one)
    await other.shared.beat("srv_1", b'{"cpu":1}')
    await other.shared.beat("srv_1", None)
    assert await one.shared.heartbeats() == [("srv_1", 2, b'{"cpu":1}')]
    await one.commit([DropServer("srv_1")])
    assert await one.shared.heartbeats() == []


async def test_what_replicas_tell_is_there_until_they_are_dead(
    stack: AsyncExitStack, postgres_url: str
) -> None:
    late = await opened(stack, postgres_url, BRIEF_MS)
    other = await opened(stack, postgres_url)
    for words in (b"{}", b'{"srv_1":{}}'):
        await late.shared.tell(words)
    number = late.epoch.number
    (seen,) = [one for one in (await other.shared.survey()).replicas if one.number == number]
    assert seen.told == 2
    assert await other.shared.told([number]) == [(number, 2, b'{"srv_1":{}}')]
    await other.shared.bury()
    assert await other.shared.told([number]) == []


async def test_running_tasks_are_read_by_their_servers(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, _ = pair
    await do(one, dispatched("task_1"), dispatched("task_2", "srv_2"), waiting("task_3"))
    await do(one, change("task_1", Progress(10)))
    assert [record.spec.id for record in await one.shared.running(["srv_1", "srv_3"])] == ["task_1"]


async def test_attempts_that_have_ended_are_read_by_their_names(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    odd = "task_\x002"
    await do(one, dispatched("task_1"), dispatched(odd, "srv_2"), dispatched("task_3"))
    await do(one, change("task_1", Cancel()), change(odd, Cancel("enough")))
    asked = [("task_1", 1), (odd, 1), ("task_1", 2), ("task_3", 1), ("task_gone", 1)]
    closed = await other.shared.closed(asked)
    assert closed == {
        ("task_1", 1): (await one.attempts("task_1"))[0],
        (odd, 1): (await one.attempts(odd))[0],
    }
    assert await other.shared.closed([]) == {}


async def test_who_listens_hears_of_events_and_of_servers_apart(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    for store in pair:
        await store.shared.renew(draining=False)
        await store.shared.survey()
    for event in (one.news, other.news, one.shared.stirred, other.shared.stirred):
        event.clear()
    async with asyncio.timeout(10):
        await do(one, waiting("task_1"))
        await other.news.wait()
        assert not other.shared.stirred.is_set()
        await put(one)
        await other.shared.stirred.wait()
    # Who said so needs no notice.
    assert not one.news.is_set()


async def test_who_is_alone_tells_nobody(pair: tuple[PostgresStore, PostgresStore]) -> None:
    one, other = pair
    for store in pair:
        await store.shared.renew(draining=False)
    other.news.clear()
    one.shared.accompanied = False
    await do(one, waiting("task_1"))
    await one.shared._notices.close()
    one.shared.accompanied = True
    await do(one, waiting("task_2"))
    async with asyncio.timeout(10):
        await other.news.wait()
    rows = await on(one._options.url, "SELECT count(*) FROM tasks")
    assert rows[0][0] == 2


async def test_who_is_broken_off_in_the_middle_leaves_the_others_a_sound_connection(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    await put(one)
    for _ in range(20):
        taking = asyncio.ensure_future(one.shared.take(["srv_1"]))
        await asyncio.sleep(0)
        renewing = asyncio.ensure_future(one.shared.renew(draining=False))
        await asyncio.sleep(0.001)
        taking.cancel()
        await renewing
    assert await one.shared.give({"srv_1": other.epoch.number}) == {"srv_1": other.epoch.number}
