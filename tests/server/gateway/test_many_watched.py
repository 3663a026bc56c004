"""One stream over many tasks: each event once, in order, whatever happens to its watcher."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import grpc
import orjson
import pytest

from inferry.server.access.tokens import Role
from inferry.v1.task_pb2 import JSON_TEXT, STRUCT, Task
from inferry.v1.task_service_pb2 import (
    CancelTaskRequest,
    CancelTasksRequest,
    CreateTaskRequest,
    FollowTasksRequest,
    RetryTaskRequest,
)
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.backends import Backend, say
from tests.gateways import Running, running_gateway, token
from tests.server.watches import CLIENT, ROOM, Seen, bearer, begun, create, watch


@asynccontextmanager
async def stub_of(gateway: Running) -> AsyncIterator[Any]:
    """A stub on a socket, as other processes have it."""
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        yield TaskServiceStub(channel)


async def test_a_watcher_of_10_000_tasks_that_is_killed_50_times_sees_each_event_once_in_order(
    tmp_path: Path, backend: Backend
) -> None:
    seen, random, kills = Seen(), Random(7), 0
    async with running_gateway(tmp_path, **ROOM) as gateway, stub_of(gateway) as stub:
        (await begun(stub, seen)).cancel()
        await gateway.register(backend, maxConcurrent=200)
        creating = asyncio.create_task(create(stub, 10_000))
        async with asyncio.timeout(120):
            while len(seen.final) < 10_000:
                call = watch(stub, seen.cursor)
                messages = random.randrange(1, 6) if kills < 50 else 10**9
                async for response in call:
                    seen.take(response)
                    messages -= 1
                    if not messages or len(seen.final) == 10_000:
                        break
                call.cancel()
                kills += 1
        ids = await creating
    assert kills > 50
    assert (seen.restarts, set(seen.events)) == (0, set(ids))
    for events in seen.events.values():
        assert [event.seq for event in events] == [*range(1, len(events) + 1)]
        assert (events[-1].task.status, events[-1].task.result_json) == (
            Task.COMPLETED,
            b'{"done":true}',
        )


async def test_a_watch_goes_on_at_its_cursor_after_a_restart_of_the_gateway(
    tmp_path: Path, backend: Backend
) -> None:
    seen = Seen()
    async with running_gateway(tmp_path) as gateway, stub_of(gateway) as stub:
        (await begun(stub, seen)).cancel()
        first = await create(stub, 20, type="later")
        second = await create(stub, 20)
        call = watch(stub, seen.cursor)
        await seen.until(aiter(call), lambda: len(seen.events) == 40)
        call.cancel()
        # What happens while nobody looks.
        await stub.CancelTasks(CancelTasksRequest(type="later"), metadata=bearer())
    for _ in range(2):
        async with running_gateway(tmp_path) as gateway, stub_of(gateway) as stub:
            await gateway.register(backend, maxConcurrent=5)
            call = watch(stub, seen.cursor)
            await seen.until(aiter(call), lambda: len(seen.final) == 40)
            call.cancel()
    assert (seen.restarts, seen.complete) == (0, 1)
    assert [seen.seqs(one) for one in first] == [[1, 2]] * 20
    assert [seen.seqs(one) for one in second] == [[1, 2, 3]] * 20


async def test_a_watch_begins_with_what_is_not_final_and_with_what_is_named(
    gateway: Running,
) -> None:
    async with stub_of(gateway) as stub:
        waiting, ended, other = await create(stub, 3)
        (labelled,) = await create(stub, 1, type="ocr", labels={"job": "7", "team": "a"})
        await stub.CancelTask(CancelTaskRequest(id=ended), metadata=bearer())
        for asked, shown in (
            ({}, {waiting, other, labelled}),
            ({"ids": [ended, waiting, "task_unknown", ended]}, {waiting, ended}),
            ({"type": "ocr"}, {labelled}),
            ({"labels": {"job": "7"}}, {labelled}),
            ({"labels": {"job": "7", "team": "a"}, "type": "ocr"}, {labelled}),
            ({"labels": {"job": "7", "team": "b"}}, set()),
            ({"ids": [waiting, labelled], "type": "echo"}, {waiting}),
            ({"type": "none"}, set()),
        ):
            seen = Seen()
            (await begun(stub, seen, **asked)).cancel()
            assert set(seen.shown) == shown, asked
            assert seen.cursor


async def test_a_watch_hears_of_what_fits_and_of_nothing_else(gateway: Running) -> None:
    async with stub_of(gateway) as stub:
        asked: list[dict[str, Any]] = [
            {"type": "ocr"},
            {"labels": {"job": "7"}},
            {"labels": {"job": "7", "team": "a"}},
            {"labels": {"job": "7"}, "type": "ocr"},
            {},
        ]
        seen = [Seen() for _ in asked]
        calls = [await begun(stub, one, **what) for one, what in zip(seen, asked, strict=True)]
        (plain,) = await create(stub, 1)
        (ocr,) = await create(stub, 1, type="ocr", labels={"job": "8"})
        (both,) = await create(stub, 1, type="ocr", labels={"job": "7", "team": "b"})
        (team,) = await create(stub, 1, labels={"job": "7", "team": "a", "more": "x"})
        fit = [{ocr, both}, {both, team}, {team}, {both}, {plain, ocr, both, team}]
        for one, call, wanted in zip(seen, calls, fit, strict=True):
            await one.until(aiter(call), partial(one.heard_of, wanted))
            assert set(one.events) == wanted
            call.cancel()


async def test_nobody_hears_of_another_tenants_tasks_but_an_admin(gateway: Running) -> None:
    stranger = token(Role.CLIENT, tenant="other")
    async with stub_of(gateway) as stub:
        (old,) = await create(stub, 1)
        strange, admin = Seen(), Seen()
        call = await begun(stub, strange, said=stranger, ids=[old])
        every = await begun(stub, admin, said=token())
        await stub.CancelTask(CancelTaskRequest(id=old), metadata=bearer())
        await create(stub, 1)
        mine = await stub.CreateTask(CreateTaskRequest(type="echo"), metadata=bearer(stranger))
        await admin.until(aiter(every), lambda: mine.task.id in admin.events)
        assert old in admin.final
        whole = Seen()
        all_of_it = watch(stub, said=stranger)
        await whole.until(aiter(all_of_it), lambda: whole.complete > 0)
        assert set(whole.shown) == {mine.task.id}
        assert not strange.shown
        # Its own end tells that nothing else came before.
        call.cancel()
        followed = Seen()
        follow = stub.FollowTasks(
            iter([FollowTasksRequest(add_ids=[old, mine.task.id])]), metadata=bearer(stranger)
        )
        await followed.until(aiter(follow), lambda: bool(followed.shown))
        assert (followed.missing, set(followed.shown)) == ([old], {mine.task.id})
        for one in (every, all_of_it, follow):
            one.cancel()


class Following:
    """A stream of followed tasks, and its other end."""

    def __init__(self, stub: Any, said: str = CLIENT) -> None:
        self._asks: asyncio.Queue[FollowTasksRequest | None] = asyncio.Queue()
        self.seen = Seen()
        self.call = stub.FollowTasks(self._say(), metadata=bearer(said))
        self.responses = aiter(self.call)

    async def _say(self) -> AsyncGenerator[FollowTasksRequest, None]:
        while (ask := await self._asks.get()) is not None:
            yield ask

    def say(self, **ask: Any) -> None:
        self._asks.put_nowait(FollowTasksRequest(**{"value_format": JSON_TEXT, **ask}))

    def end(self) -> None:
        self._asks.put_nowait(None)

    async def until(self, enough: Callable[[], bool]) -> None:
        await self.seen.until(self.responses, enough)


async def test_tasks_are_followed_as_they_are_named_and_let_go_of_as_they_end(
    gateway: Running,
) -> None:
    async with stub_of(gateway) as stub:
        first, second, third, ended = await create(stub, 4)
        await stub.CancelTask(CancelTaskRequest(id=ended), metadata=bearer())
        one = Following(stub)
        one.say(add_ids=[first, "task_unknown", ended])
        await one.until(lambda: len(one.seen.shown) == 2)
        assert one.seen.missing == ["task_unknown"]
        assert one.seen.shown[ended].status == Task.CANCELLED
        one.say(add_ids=[second, third])
        await one.until(lambda: third in one.seen.shown)
        one.say(remove_ids=[second])
        # Once its next word is heard, that one was.
        one.say(add_ids=["task_next"])
        await one.until(lambda: "task_next" in one.seen.missing)
        for task_id in (second, first):
            await stub.CancelTask(CancelTaskRequest(id=task_id), metadata=bearer())
            await stub.RetryTask(RetryTaskRequest(id=task_id), metadata=bearer())
        one.end()
        await stub.CancelTask(CancelTaskRequest(id=third), metadata=bearer())
        async with asyncio.timeout(20):
            async for response in one.call:
                one.seen.take(response)
        assert {task_id: one.seen.seqs(task_id) for task_id in one.seen.events} == {
            first: [2],
            third: [2],
        }


async def test_each_event_of_many_tasks_tells_the_type_of_its_task(gateway: Running) -> None:
    async with stub_of(gateway) as stub:
        seen, following = Seen(), Following(stub)
        call = await begun(stub, seen)
        (echo,), (ocr,) = await create(stub, 1), await create(stub, 1, type="ocr")
        following.say(add_ids=[echo, ocr])
        await following.until(lambda: len(following.seen.shown) == 2)
        for task_id in (echo, ocr):
            await stub.CancelTask(CancelTaskRequest(id=task_id), metadata=bearer())
        await seen.until(aiter(call), lambda: len(seen.final) == 2)
        await following.until(lambda: len(following.seen.final) == 2)
        for events in (seen.events, following.seen.events):
            assert {event.type for event in events[echo]} == {"echo"}
            assert {event.type for event in events[ocr]} == {"ocr"}
        call.cancel()
        following.call.cancel()


async def test_what_is_followed_goes_on_at_a_cursor_without_being_shown(gateway: Running) -> None:
    async with stub_of(gateway) as stub:
        ids = await create(stub, 300)
        one = Following(stub)
        one.say(add_ids=ids)
        await one.until(lambda: len(one.seen.shown) == 300 and bool(one.seen.cursor))
        one.call.cancel()
        await stub.CancelTasks(CancelTasksRequest(type="echo"), metadata=bearer())
        two = Following(stub)
        two.say(add_ids=ids, cursor=one.seen.cursor)
        two.end()
        async with asyncio.timeout(20):
            async for response in two.call:
                two.seen.take(response)
        assert (two.seen.shown, two.seen.restarts) == ({}, 0)
        assert [two.seen.seqs(task_id) for task_id in ids] == [[2]] * 300


@pytest.mark.parametrize("where", ["another database", "nowhere"])
async def test_a_cursor_that_means_nothing_here_begins_with_a_snapshot(
    tmp_path: Path, where: str
) -> None:
    seen = Seen()
    if where == "another database":
        async with running_gateway(tmp_path / "a") as gateway, stub_of(gateway) as stub:
            await create(stub, 5)
            (await begun(stub, seen)).cancel()
    cursor = seen.cursor or "AQAAAAAAAAAAAAAAAAA"
    async with running_gateway(tmp_path / "b") as gateway, stub_of(gateway) as stub:
        ids = await create(stub, 3)
        again = Seen()
        call = watch(stub, cursor)
        await again.until(aiter(call), lambda: again.complete > 0)
        call.cancel()
        assert (again.restarts, set(again.shown)) == (1, set(ids))
        one = Following(stub)
        one.say(add_ids=ids, cursor=cursor)
        await one.until(lambda: len(one.seen.shown) == 3)
        assert one.seen.restarts == 1
        one.call.cancel()


async def test_wrong_requests_to_watch_are_refused_in_words(gateway: Running) -> None:
    async with stub_of(gateway) as stub:
        for asked, words in (
            ({"cursor": "!"}, "not one that a watch of many tasks returned"),
            ({"ids": ["a"] * 10_001}, "ids: 10001"),
            ({"labels": {str(n): "" for n in range(9)}}, "labels: 9"),
            ({"labels": {"": "x"}}, "labels: ''"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await anext(aiter(watch(stub, **asked)))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert words in (refused.value.details() or "")
        for asks, words in (
            ([{"cursor": "no"}], "not one that a watch of many tasks returned"),
            ([{}, {"cursor": "AQAAAAAAAAAAAAAAAAA"}], "only the first message"),
            ([{"add_ids": [f"t{n}" for n in range(100_001)]}], "the limit is 100000"),
        ):
            one = Following(stub)
            for ask in asks:
                one.say(**ask)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await one.until(lambda: False)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert words in (refused.value.details() or "")


async def test_results_come_as_asked_or_as_text_or_not_at_all(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say(b'{"status":"success","result":{"n":12345678901234567890}}')
    async with stub_of(gateway) as stub:
        structs, none, texts = Seen(), Seen(), Seen()
        calls = [
            await begun(stub, structs, value_format=STRUCT),
            await begun(stub, none, without_results=True),
            await begun(stub, texts),
        ]
        await gateway.register(backend)
        (task_id,) = await create(stub, 1)
        for seen, call in zip((structs, none, texts), calls, strict=True):
            await seen.until(aiter(call), partial(seen.ended, {task_id}))
            call.cancel()
        ends = [seen.events[task_id][-1].task for seen in (structs, none, texts)]
        # A double would round it: it comes as it is, and the stream goes on.
        text = b'{"n":12345678901234567890}'
        assert [end.result_json for end in ends] == [text, b"", text]
        assert [end.status for end in ends] == [Task.COMPLETED] * 3


async def test_large_results_come_in_messages_that_any_client_can_read(
    gateway: Running, backend: Backend
) -> None:
    large = b'"' + b"x" * 2_900_000 + b'"'
    backend.answer = say(b'{"status":"success","result":%b}' % large)
    async with stub_of(gateway) as stub:
        ids = await create(stub, 8)
        seen = Seen()
        call = await begun(stub, seen)
        await gateway.register(backend)
        await seen.until(aiter(call), lambda: len(seen.final) == 8)
        call.cancel()
        again = Seen()
        (await begun(stub, again, ids=ids)).cancel()
        for task_id in ids:
            assert seen.events[task_id][-1].task.result_json == large
            assert again.shown[task_id].result_json == large


async def test_watchers_are_told_that_the_gateway_stops(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, shutdown_grace_ms=0) as gateway, stub_of(gateway) as stub:
        call, seen = watch(stub), Seen()
        await seen.until(aiter(call), lambda: seen.complete > 0)
        one = Following(stub)
        one.say(add_ids=["task_unknown"])
        await one.until(lambda: bool(one.seen.missing))
        waiting = asyncio.gather(anext(aiter(call)), anext(one.responses), return_exceptions=True)
        await gateway.gateway.stop()
        async with asyncio.timeout(10):
            for error in await waiting:
                assert isinstance(error, grpc.aio.AioRpcError)
                assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_browser_goes_on_after_the_last_id_over_rest(gateway: Running) -> None:
    async with stub_of(gateway) as stub:
        first, last = await messages(gateway, "?type=ocr", {}, lambda all_: len(all_) == 1)
        assert first[0]["snapshotComplete"] is True
        (task_id,) = await create(stub, 1, type="ocr", labels={"job": "7"})
        for query, headers in (
            ("?type=ocr", {"Last-Event-ID": last}),
            (f"?type=ocr&after={last}", {}),
            (f"?type=ocr&lastEventId={last}&r=1", {}),
            (f"?labels.job=7&after={last}", {}),
            (f"?ids={task_id}&ids=task_unknown&after={last}", {}),
        ):
            got, _ = await messages(gateway, query, headers, lambda all_: bool(all_[-1]["events"]))
            events = [event for message in got for event in message["events"]]
            assert [(event["taskId"], event["seq"]) for event in events] == [(task_id, 1)]


async def messages(
    gateway: Running, query: str, headers: dict[str, str], enough: Callable[[list[Any]], bool]
) -> tuple[list[Any], str]:
    """Watches over REST until there are enough messages; returns them and the last id."""
    got: list[Any] = []
    last = ""
    async with gateway.http.get(
        f"{gateway.url}/api/watch{query}",
        headers={"Authorization": f"Bearer {CLIENT}", **headers},
        timeout=aiohttp.ClientTimeout(20),
    ) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        async for line in response.content:
            if line.startswith(b"id: "):
                last = line[4:].decode().strip()
            if line.startswith(b"data: "):
                got.append(orjson.loads(line[6:]))
                if enough(got):
                    break
    return got, last
