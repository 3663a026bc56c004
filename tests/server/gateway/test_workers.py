"""Workers that dial in, over real sockets."""

import asyncio
from pathlib import Path

from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import Assignment
from tests.model_worker import ModelWorker, streamed_gateway


async def with_progress(worker: ModelWorker, assignment: Assignment) -> None:
    worker.report(assignment, status=Task.PROCESSING, progress=50.0)
    await asyncio.sleep(0)
    worker.complete(assignment, assignment.payload_json)


async def test_a_worker_that_dials_in_does_what_is_given_to_it(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path) as gateway:
        worker = ModelWorker(gateway.gateway.grpc_address, work=with_progress)
        async with worker.connected():
            task = await gateway.task(await gateway.create(b'{"a":1}'))
            assert (task.status, task.progress) == (Task.COMPLETED, 100.0)
            server = await gateway.server()
            assert task.server_id == server.id
            assert (server.transport, server.connection) == (Server.GRPC, Server.CONNECTED)
            assert (server.tenant, server.url) == ("acme", "")
            await gateway.until(lambda now: now.credit == 4)
