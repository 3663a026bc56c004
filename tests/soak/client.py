"""The client of a soak: a steady load, a tenth of which is broken off at some moment.

python -m tests.soak.client HOST:PORT TOKEN TASKS-A-SECOND

When it is told to end, it prints how often it did what.
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import grpc

from inferry.client import AsyncClient, InferryError
from inferry.v1.task_service_pb2 import WatchTasksRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.worker_pb2 import WorkerHello, WorkerMessage
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub
from inferry.wire.reads import Received
from tests.soak.worker import THREAD_TYPE, TYPE

#: The share of everything that is broken off.
_BROKEN_OFF = 0.1
#: How long something may go on before it is.
_LONGEST_S = 0.4
#: Bytes of most payloads, and of few.
_FILLING, _LARGE = 200, 50_000
#: What may be under way; who is slower than the load has less of it.
_UNDER_WAY = 200


class Client:
    """Keeps the load up.

    Args:
        client: The SDK's.
        channel: For what the SDK does not do.
        token: An admin's.
        rate: Tasks a second.
    """

    def __init__(
        self, client: AsyncClient, channel: grpc.aio.Channel, token: str, rate: float
    ) -> None:
        self._client = client
        self._tasks: Any = TaskServiceStub(channel)
        self._workers: Any = WorkerServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._rate = rate
        self._random = Random(0)
        self._room = asyncio.Semaphore(_UNDER_WAY)
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            number = 0
            while True:
                number += 1
                await asyncio.sleep(self._random.expovariate(self._rate))
                await self._room.acquire()
                what = self._random.choice((self._one, self._one, self._events, self._watch))
                if number % 20 == 0:
                    what = self._visit
                group.create_task(self._perhaps(what.__name__.strip("_"), what(number)))

    async def _perhaps(self, name: str, deed: Coroutine[Any, Any, None]) -> None:
        """Does something, and breaks a tenth of it off."""
        within_s = None
        if self._random.random() < _BROKEN_OFF:
            within_s = self._random.uniform(0, _LONGEST_S)
        try:
            async with asyncio.timeout(within_s):
                await deed
        except TimeoutError:
            name = f"{name} broken off"
        except InferryError as error:
            name = f"{name}: {error.code}"
        finally:
            self._room.release()
        self.done[name] += 1

    def _wish(self, number: int) -> tuple[str, dict[str, Any]]:
        large = self._random.random() < 0.02
        filling = "x" * (_LARGE if large else _FILLING)
        payload = {"number": number, "seconds": self._random.uniform(0, 0.2), "filling": filling}
        return (THREAD_TYPE if self._random.random() < 0.2 else TYPE), payload

    async def _one(self, number: int) -> None:
        """Has a task done, and waits for its result."""
        await self._client.run(*self._wish(number))

    async def _events(self, number: int) -> None:
        """Follows a task by its events."""
        task = await self._client.submit(*self._wish(number))
        async for _ in task.events():
            pass

    async def _watch(self, number: int) -> None:
        """Watches all tasks for a moment."""
        await self._client.submit(*self._wish(number))
        call = self._tasks.WatchTasks(WatchTasksRequest(), metadata=self._metadata)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._random.uniform(0, _LONGEST_S)):
                    async for _ in Received(call):
                        pass
        finally:
            call.cancel()

    async def _visit(self, number: int) -> None:
        """Is a worker for a moment, and leaves without a word."""
        name, gone = f"passer-by-{number % 5}", asyncio.Event()

        async def said() -> AsyncIterator[WorkerMessage]:
            hello = WorkerHello(name=name, protocol_version=1, capabilities=["nothing"])
            yield WorkerMessage(hello=hello)
            # Else gRPC keeps what it iterates over.
            await gone.wait()

        call = self._workers.Connect(said(), metadata=self._metadata)
        try:
            async with asyncio.timeout(_LONGEST_S):
                async for _ in Received(call):
                    pass
        except (TimeoutError, grpc.aio.AioRpcError):
            pass
        finally:
            gone.set()
            call.cancel()


async def _main(address: str, token: str, rate: float) -> None:
    async with (
        AsyncClient(address, token) as client,
        grpc.aio.insecure_channel(address) as channel,
    ):
        load = Client(client, channel, token, rate)
        running = asyncio.create_task(load.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        print("ready", flush=True)  # noqa: T201
        with suppress(asyncio.CancelledError):
            await running
    print(", ".join(f"{count} {what}" for what, count in sorted(load.done.items())))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
