from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferry.client import (
    AsyncClient,
    Conflict,
    Count,
    InferryError,
    InvalidRequest,
    NotFound,
    QueueFull,
    Status,
    TaskCancelled,
    TaskFailed,
    TaskTimedOut,
)
from inferry.client.testing import FakeGateway, RunningTask
from tests.client.handlers import HANDLERS, holding


@dataclass
class Size:
    width: int
    height: int


@dataclass
class Picture:
    area: int
    name: str = "picture"


async def test_handlers_run_what_a_client_asks_for() -> None:
    async with (
        FakeGateway(HANDLERS) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        assert await client.run("double", {"n": 2**70}) == 2**71
        assert await client.run("double-later", {"n": 2}) == 4
        with pytest.raises(TaskFailed, match="FAILED: no such format") as caught:
            await client.run("fail", {})
        assert (caught.value.code, caught.value.details) == ("INVALID_FORMAT", {"format": "x"})
        with pytest.raises(TaskFailed, match="FAILED: 'n'") as caught:
            await client.run("double", {})
        assert caught.value.code == "HANDLER_FAILED"


async def test_only_a_handler_that_asks_for_the_task_gets_it() -> None:
    handlers: dict[str, Any] = {
        "plain": dict,
        "spare": lambda payload, factor=3: factor * payload["n"],
    }
    async with (
        FakeGateway(handlers) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        assert await client.run("plain", {"n": 1}) == {"n": 1}
        assert await client.run("spare", {"n": 1}) == 3


async def test_progress_is_seen_as_it_is_reported() -> None:
    def report(_: Any, task: RunningTask) -> str:
        task.progress(50, "half")
        return "done"

    async with (
        FakeGateway({"report": report}) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        task = await client.submit("report")
        kinds = [event.kind async for event in task.events()]
        assert kinds[0] == "CREATED"
        assert kinds[-1] == "FINISHED"
        assert await task.result() == "done"
        (attempt,) = await task.attempts()
        assert attempt.outcome == "SUCCEEDED"
        assert (await task.explain()).reason == "ENDED"


async def test_a_task_is_cancelled_and_retried() -> None:
    hold, release = holding()
    async with (
        FakeGateway({"hold": hold}) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        task = await client.submit("hold")
        assert (await task.cancel("enough")).status is Status.CANCELLED
        with pytest.raises(TaskCancelled, match="enough"):
            await task.result()
        with pytest.raises(Conflict):
            await client.task((await client.submit("hold", delay=60)).id).retry()
        release()
        assert (await task.retry()).status is Status.PENDING
        assert await task.result(20) == "held"


async def test_a_stream_url_is_made_for_a_browser() -> None:
    async with (
        FakeGateway({}) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        task = await client.submit("nobody")
        made = await task.stream_url(ttl=60)
        assert f"/api/tasks/{task.id}/events?ticket=" in made.url
        assert made.expires_at is not None
        assert timedelta(seconds=30) < made.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
        usual = (await task.stream_url()).expires_at
        assert usual is not None
        assert usual - made.expires_at > timedelta(minutes=13)
        with pytest.raises(InvalidRequest, match="ttl"):
            await task.stream_url(ttl=3_601)
        with pytest.raises(NotFound):
            await client.task("task_01HK153X00PYXZ6CXT0BGWJ8MG").stream_url()


async def test_clocks_and_limits_are_those_of_a_real_gateway() -> None:
    async with (
        FakeGateway({}, queue_limit=2) as gateway,
        AsyncClient(gateway.address, gateway.token, retries=0) as client,
    ):
        with pytest.raises(TaskTimedOut) as caught:
            await client.run("nobody", queue_timeout=0.01)
        assert caught.value.phase == "queue"
        first, second, refused = await client.submit_many("nobody", [{}, {}, {}])
        assert isinstance(refused, QueueFull)
        assert not isinstance(first, InferryError)
        assert not isinstance(second, InferryError)
        assert (await first.explain()).reason == "NO_SERVER"
        assert await client.cancel_all(type="nobody") == 2


async def test_servers_and_the_queue_are_steered() -> None:
    async with (
        FakeGateway(HANDLERS) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        (server,) = await client.servers()
        assert (server.name, server.max_concurrent) == ("handlers", 1_000)
        assert (await client.drain(server.id)).status == "DRAINING"
        assert (await client.resume(server.id)).status != "DRAINING"
        assert (await client.server(server.id)).id == server.id
        assert (await client.pause("double", "mending")).pause_reason == "mending"
        task = await client.submit("double", {"n": 1}, labels={"a": "b"})
        assert (await task.explain()).reason == "PAUSED"
        assert [one.waiting for one in (await client.queue()).types] == [1]
        assert not (await client.unpause("double")).paused
        assert await task.result(20) == 2
        await client.deregister(server.id, grace=0)
        assert await client.servers() == []


async def test_what_failed_is_retried_in_bulk() -> None:
    async with (
        FakeGateway(HANDLERS) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        ends = await client.map("fail", [{}] * 3, labels={"a": "b"}, return_exceptions=True)
        assert all(isinstance(end, TaskFailed) for end in ends)
        await client.pause("fail")
        assert await client.count("failed", labels={"a": "b"}) == Count(count=3, more=False)
        assert (await client.count(code="NO_SUCH_CODE")).count == 0
        soon = datetime.now(UTC) + timedelta(minutes=5)
        nowhere = "0" * 16
        assert len([task async for task in client.tasks(fingerprint=nowhere)]) == 0
        assert await client.retry_all(fingerprint=nowhere) == 0
        assert await client.retry_all(tenant="nobody") == 0
        with pytest.raises(TypeError, match="there is no filter kode; right are server_id, code"):
            await client.count(kode="x")  # type: ignore[call-arg]
        assert await client.retry_all(finished_since=soon) == 0
        assert await client.retry_all(labels={"a": "b"}, limit=2) == 2
        assert len([task async for task in client.tasks("failed", "fail")]) == 1
        assert len([task async for task in client.tasks(labels={"a": "b"})]) == 3
        assert len([task async for task in client.tasks(labels={"a": "c"})]) == 0
        now = datetime.now(UTC)
        before = now - timedelta(minutes=5)
        for begun in (before, before.astimezone().replace(tzinfo=None)):
            assert len([task async for task in client.tasks("failed", finished_since=begun)]) == 1
        later = now + timedelta(minutes=5)
        assert len([task async for task in client.tasks(created_since=later)]) == 0
        assert len([task async for task in client.tasks(code="NO_SUCH_CODE")]) == 0


async def test_a_typed_function_takes_and_gives_dataclasses() -> None:
    async with (
        FakeGateway(HANDLERS) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        measure = client.function("measure", Size, Picture)
        assert repr(measure) == "<measure: Size -> Picture>"
        assert await measure(Size(3, 4), priority=5) == Picture(12)
        assert await measure.map([Size(1, 1), Size(2, 2)]) == [Picture(1), Picture(4)]
        task = await measure.submit(Size(5, 5))
        assert measure.read(await task.result()) == Picture(25)
        with pytest.raises(TypeError, match="measure takes Size, got"):
            await measure({"width": 1})  # type: ignore[arg-type]
        with pytest.raises(InferryError, match=r"no Size: .*'width'") as caught:
            await client.function("measure", Size, Size)(Size(1, 2))
        assert caught.value.code == "INVALID_RESULT"


async def test_a_watch_sees_all_that_happens_to_a_type() -> None:
    async with (
        FakeGateway(HANDLERS) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        ended: list[str] = []
        async for change in client.watch(type="double"):
            if change.snapshot_complete:
                await client.submit_many("double", [{"n": 1}, {"n": 2}])
                await client.submit("double-later", {"n": 3})
            ended += [event.task_id for event in change.events if event.status.final]
            if len(ended) == 2:
                break
        assert {(await client.task(one).get()).result for one in ended} == {2, 4}
