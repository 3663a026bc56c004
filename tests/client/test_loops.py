"""What is true of coroutines alone: loops, cancellation."""

import asyncio
import threading

import pytest

from inferry.client import AsyncClient
from inferry.v1.task_pb2 import Task
from tests.client.scripted import WITHIN_S, Scripted


async def in_another_loop(client: AsyncClient) -> object:
    """Runs a task from a loop of its own, in a thread."""

    def run() -> object:
        return asyncio.run(client.run("echo", {"loop": 2}))

    return await asyncio.to_thread(run)


async def test_a_client_works_in_each_loop_that_it_is_used_in(gateway: Scripted) -> None:
    async with AsyncClient(gateway.address, "secret") as client:
        assert await client.run("echo", {"loop": 1}) == {"loop": 1}
        for _ in range(3):
            assert await in_another_loop(client) == {"loop": 2}
        assert await client.run("echo", {"loop": 1}) == {"loop": 1}
        assert gateway.streams == 4
        home = client._calls._home
        assert len(home._made) <= 2  # those of closed loops are dropped


async def test_a_cancelled_run_cancels_its_task(gateway: Scripted) -> None:
    async with AsyncClient(gateway.address, "secret") as client:
        running = asyncio.create_task(client.run("hold"))
        await asyncio.to_thread(gateway.until, lambda: "task_1" in gateway.shown)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert gateway.tasks["task_1"].status == Task.CANCELLED


async def test_a_run_cancelled_before_its_creation_was_answered_leaves_no_task_behind(
    gateway: Scripted,
) -> None:
    heard, answer = threading.Event(), threading.Event()

    def answer_late() -> None:
        heard.set()
        answer.wait(WITHIN_S)

    gateway.on("CreateTask", answer_late)
    async with AsyncClient(gateway.address, "secret") as client:
        running = asyncio.create_task(client.run("hold"))
        await asyncio.to_thread(heard.wait, WITHIN_S)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        answer.set()
        await asyncio.to_thread(gateway.until, lambda: len(gateway.said("CancelTask")) == 1)
    assert {task.status for task in gateway.tasks.values()} == {Task.CANCELLED}
    assert len({one.request_id for one in gateway.said("CreateTask")}) == 1


async def test_a_cancel_that_is_cancelled_again_still_reaches_the_task(gateway: Scripted) -> None:
    heard, answer = threading.Event(), threading.Event()

    def answer_late() -> None:
        heard.set()
        answer.wait(WITHIN_S)

    gateway.on("CancelTask", answer_late)
    async with AsyncClient(gateway.address, "secret") as client:
        running = asyncio.create_task(client.run("hold"))
        await asyncio.to_thread(gateway.until, lambda: "task_1" in gateway.shown)
        running.cancel()
        await asyncio.to_thread(heard.wait, WITHIN_S)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        answer.set()
        await asyncio.to_thread(
            gateway.until, lambda: gateway.tasks["task_1"].status == Task.CANCELLED
        )


async def test_a_cancelled_map_cancels_all_that_is_open(gateway: Scripted) -> None:
    async with AsyncClient(gateway.address, "secret") as client:
        running = asyncio.create_task(client.map("hold", [{}] * 5, concurrency=3))
        await asyncio.to_thread(gateway.until, lambda: len(gateway.shown) == 3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [task.status for task in gateway.tasks.values()] == [Task.CANCELLED] * 3


async def test_a_wait_that_all_tasks_are_cancelled_around_begins_anew(gateway: Scripted) -> None:
    async with AsyncClient(gateway.address, "secret") as client:
        assert await client.run("echo", {}) == {}
        (follower,) = [one for one in asyncio.all_tasks() if one.get_name() == "inferry-follow"]
        follower.cancel()
        await asyncio.wait([follower])
        assert await client.run("echo", {"again": 1}) == {"again": 1}


async def test_a_token_source_may_take_its_time(gateway: Scripted) -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return "late"

    async with AsyncClient(gateway.address, token) as client:
        await client.run("echo")
    assert gateway.metadata["authorization"] == "Bearer late"


async def test_a_thousand_wait_beside_each_other_on_one_stream(gateway: Scripted) -> None:
    async with AsyncClient(gateway.address, "secret") as client:
        results = await asyncio.gather(*(client.run("echo", {"n": n}) for n in range(1_000)))
    assert results == [{"n": n} for n in range(1_000)]
    assert gateway.streams == 1
