"""A watcher of many tasks that goes from replica to replica with its cursor."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import grpc

from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.model_worker import ModelWorker
from tests.server.replicas.crowd import crowd
from tests.server.watches import ROOM, Seen, begun, create, watch

REPLICAS, TASKS, KILLS, MESSAGES = 3, 10_000, 50, 2


async def created(stubs: Sequence[TaskServiceStub], random: Random) -> list[str]:
    """Creates all tasks, each batch at another replica."""
    ids: list[str] = []
    while len(ids) < TASKS:
        ids += await create(random.choice(stubs), 500)
    return ids


async def test_a_watcher_of_10_000_tasks_of_three_replicas_that_is_killed_50_times_sees_each_once(
    postgres_url: str, tmp_path: Path
) -> None:
    seen, random, lives = Seen(), Random(7), 0
    async with AsyncExitStack() as stack, crowd(postgres_url, tmp_path) as many:
        addresses = [(await many.join(**ROOM)).lives.grpc_address for _ in range(REPLICAS)]
        stubs = []
        for number, address in enumerate(addresses):
            worker = ModelWorker(address, name=f"w{number}", slots=500)
            await stack.enter_async_context(worker.connected())
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            stubs.append(TaskServiceStub(channel))
        (await begun(stubs[0], seen)).cancel()
        creating = asyncio.create_task(created(stubs, random))
        async with asyncio.timeout(240):
            while len(seen.final) < TASKS:
                lives += 1
                left = random.randint(1, MESSAGES) if lives <= KILLS else None
                call = watch(random.choice(stubs), seen.cursor)
                async for response in call:
                    seen.take(response)
                    left = left and left - 1
                    if left == 0 or len(seen.final) == TASKS:
                        break
                call.cancel()
        ids = await creating
    assert lives > KILLS
    assert (seen.restarts, seen.shown, set(seen.events)) == (0, {}, set(ids))
    for events in seen.events.values():
        assert [event.seq for event in events] == [*range(1, len(events) + 1)]
        kinds = [event.kind for event in events]
        assert (kinds[0], kinds[-1]) == (TaskEvent.CREATED, TaskEvent.FINISHED)
        assert (events[-1].task.status, events[-1].task.result_json) == (Task.COMPLETED, b"{}")
