"""A worker that works for no time at all: every assignment is acknowledged, progresses and ends.

python -m benchmarks.stream_worker HOST:PORT TOKEN SLOTS COUNT

It prints ``ready`` when COUNT workers are connected, each on a stream of its own. A result says
when the work began, by the clock that all processes of the machine share.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence

import grpc.aio
import uvloop

from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.worker_pb2 import (
    Assignment,
    AttemptRef,
    GatewayMessage,
    WorkerHeartbeat,
    WorkerHello,
    WorkerMessage,
    WorkerReport,
)
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub

TYPE = "benchmark-stream"
#: Streams that share a connection.
_SHARED = 100


class Worker:
    """One stream."""

    def __init__(self, name: str, slots: int) -> None:
        self._hello = WorkerHello(
            name=name, protocol_version=1, capabilities=[TYPE], max_concurrent=slots, ready=True
        )
        self._slots = slots
        self._received = 0
        self._reports = 0
        self._outbox: asyncio.Queue[WorkerMessage] = asyncio.Queue()
        self.welcomed = asyncio.Event()

    async def run(self, channel: grpc.aio.Channel, token: str) -> None:
        """Works until the stream ends."""
        metadata = (("authorization", f"Bearer {token}"),)
        stub = WorkerServiceStub(channel)
        call = stub.Connect(self._messages(), metadata=metadata)
        try:
            async for message in call:
                self._take(message)
        finally:
            call.cancel()

    async def _messages(self) -> AsyncIterator[WorkerMessage]:
        yield WorkerMessage(hello=self._hello, granted_total=self._slots)
        while True:
            yield await self._outbox.get()

    def _take(self, message: GatewayMessage) -> None:
        self.welcomed.set()
        if message.assignments:
            self._work(message.assignments)
        if message.HasField("heartbeat"):
            # Nothing is held: all work has ended before the next message is read.
            beat = WorkerHeartbeat(received_total=self._received, ready=True)
            self._outbox.put_nowait(WorkerMessage(heartbeat=beat))

    def _work(self, assignments: Sequence[Assignment]) -> None:
        self._received += len(assignments)
        answer = WorkerMessage(granted_total=self._received + self._slots)
        result = b"%d" % time.monotonic_ns()
        for one in assignments:
            ref = AttemptRef(task_id=one.task_id, attempt=one.attempt)
            answer.acknowledged.append(ref)
            for update in (
                TaskUpdate(status=Task.PROCESSING, progress=50, message="half way"),
                TaskUpdate(status=Task.COMPLETED, result_json=result),
            ):
                self._reports += 1
                answer.reports.append(
                    WorkerReport(attempt=ref, number=self._reports, update=update)
                )
        self._outbox.put_nowait(answer)


async def _main(address: str, token: str, slots: int, count: int) -> None:
    # Else all of them would share one connection.
    apart = [("grpc.use_local_subchannel_pool", 1)]
    channels = [
        grpc.aio.insecure_channel(address, options=apart) for _ in range(-(-count // _SHARED))
    ]
    workers = [Worker(f"benchmark-{number}", slots) for number in range(count)]
    async with asyncio.TaskGroup() as streams:
        for number, worker in enumerate(workers):
            streams.create_task(worker.run(channels[number // _SHARED], token))
        for worker in workers:
            await worker.welcomed.wait()
        print(f"ready {count} http://{address}", flush=True)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
