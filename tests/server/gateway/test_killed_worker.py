"""A worker without a port, on the SDK and in a process of its own, is killed in the middle."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import psutil

from inferry.client import AsyncClient, InferryError, TaskFailed
from inferry.client.aio.task import AsyncTask
from tests.crash.clients import TYPE
from tests.crash.crew import StreamedWorker
from tests.crash.history import Plan
from tests.processes import start_gateway

TASKS = 1_000
#: After how many ends it is killed.
KILLED_AFTER = 300
LOOKED_AT = 25


def payload(number: int) -> dict[str, object]:
    return {"number": number, "plan": Plan.SUCCEED, "seconds": 0.02, "steps": 1}


async def ended(task: AsyncTask) -> str:
    try:
        result = await task.result()
    except TaskFailed as error:
        return str(error.details["reason"])
    return "done" if {"number", "attempt", "worker"} == result.keys() else str(result)


async def progressed(task: AsyncTask) -> bool:
    return any([event.kind == "PROGRESSED" async for event in task.events()])


async def test_a_thousand_tasks_end_though_their_worker_is_killed_in_the_middle(
    tmp_path: Path,
) -> None:
    gateway = await start_gateway(tmp_path)
    worker = StreamedWorker("gpu-1", gateway.token, gateway.grpc, tmp_path)
    try:
        await worker.start()
        async with AsyncClient(gateway.grpc, gateway.token) as client:
            repeatable = await client.submit_many(
                TYPE, map(payload, range(TASKS // 2)), idempotent=True
            )
            once = await client.submit_many(TYPE, map(payload, range(TASKS // 2, TASKS)))
            tasks = [task for task in (*repeatable, *once) if not isinstance(task, InferryError)]
            assert len(tasks) == TASKS
            waits = {task: asyncio.create_task(ended(task)) for task in tasks}
            for count, wait in enumerate(asyncio.as_completed(waits.values()), 1):
                await wait
                if count == KILLED_AFTER:
                    assert not listens(worker.pid)
                    await worker.kill()
                    await worker.start()
            ends = Counter(wait.result() for wait in waits.values())
            assert ends.total() == TASKS
            assert ends.keys() <= {"done", "lost"}
            # What was lost may not run twice, and is no more than the worker had.
            of_repeatable = {waits[task].result() for task in tasks[: TASKS // 2]}
            assert of_repeatable == {"done"}
            done = [task for task, wait in waits.items() if wait.result() == "done"]
            some = random.Random(0).sample(done, LOOKED_AT)
            assert all(await asyncio.gather(*map(progressed, some)))
        began = Counter((run.task_id, run.attempt) for run in worker.runs())
        assert began.total() == len(began)
    finally:
        await worker.kill()
        await gateway.stop()


def listens(pid: int) -> bool:
    connections = psutil.Process(pid).net_connections("all")
    return any(one.status == psutil.CONN_LISTEN for one in connections)
