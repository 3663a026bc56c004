"""Onlookers see all tasks on a stream, over gRPC and SSE, and go on elsewhere at its cursor."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from itertools import cycle
from random import Random

import aiohttp
import grpc
import orjson
from grpc.aio import AioRpcError

from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksRequest, WatchTasksResponse
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.crash.gateways import Gateways
from tests.crash.history import FINAL, History, Json, Onlooking

#: Between two streams.
_PAUSE_S = 0.02
#: How long one may say nothing, and how many messages are read of it, before another one is tried:
#: a gateway that stands still keeps its streams.
_QUIET_S = 1.0
_MESSAGES = 40
#: How long the last events may take.
_ENDS_WITHIN_S = 30
_BROKEN = (AioRpcError, aiohttp.ClientError, TimeoutError)

#: Watches at the next gateway from a cursor on; messages are told in the words of REST.
Open = Callable[[str], AsyncGenerator[Json, None]]


class Onlooker:
    """Sees each message whole, or none of it.

    Args:
        watch: Opens a stream.
        onlooking: What it has seen.
        random: Draws when it goes elsewhere by itself.
    """

    def __init__(self, watch: Open, onlooking: Onlooking, random: Random) -> None:
        self._watch = watch
        self._onlooking = onlooking
        self._random = random
        self._cursor = ""
        self._news = asyncio.Event()
        #: Set when it has a cursor.
        self.begun = asyncio.Event()

    async def live(self) -> None:
        """Goes on for ever."""
        while True:
            left = self._random.randint(1, _MESSAGES)
            try:
                async with aclosing(self._watch(self._cursor)) as messages:
                    while left:
                        async with asyncio.timeout(_QUIET_S):
                            self._take(await anext(messages))
                        left -= 1
            except (*_BROKEN, StopAsyncIteration):
                await asyncio.sleep(_PAUSE_S)

    async def until_all(self, task_ids: Mapping[str, object]) -> None:
        """Waits until it has seen the ends of tasks, but not for ever: the checker says which."""
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                while not all(self._ended(task_id) for task_id in task_ids):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    def _ended(self, task_id: str) -> bool:
        events = self._onlooking.events.get(task_id, ())
        return any(event["status"] in FINAL for event in events)

    def _take(self, message: Json) -> None:
        self._onlooking.messages += 1
        self._onlooking.restarts += message["restarted"]
        for event in message["events"]:
            self._onlooking.events.setdefault(event["taskId"], []).append(event)
        if message.get("cursor"):
            self._cursor = message["cursor"]
            self.begun.set()
        self._news.set()


@asynccontextmanager
async def running_onlookers(
    gateways: Gateways, history: History, random: Random
) -> AsyncIterator[list[Onlooker]]:
    """Has one of each kind look on from before the first task, until the block ends."""
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {gateways.token}"}
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        onlookers = []
        for how, watch in (
            ("WatchTasks", _by_rpc(gateways)),
            ("/api/watch", _by_sse(gateways, http)),
        ):
            onlooking = Onlooking(how)
            history.onlooking.append(onlooking)
            onlookers.append(Onlooker(watch, onlooking, Random(random.random())))
        living = [asyncio.create_task(one.live()) for one in onlookers]
        try:
            for one in onlookers:
                await one.begun.wait()
            yield onlookers
        finally:
            for task in living:
                task.cancel()
            ends = await asyncio.gather(*living, return_exceptions=True)
            history.surprises += [repr(end) for end in ends if isinstance(end, Exception)]


def _by_rpc(gateways: Gateways) -> Open:
    addresses = cycle(gateways.grpc)
    metadata = (("authorization", f"Bearer {gateways.token}"),)

    async def watch(cursor: str) -> AsyncGenerator[Json, None]:
        # A channel of its own each time: one that lost its connection would wait with the next.
        async with grpc.aio.insecure_channel(next(addresses)) as channel:
            request = WatchTasksRequest(cursor=cursor, value_format=JSON_TEXT)
            async for response in TaskServiceStub(channel).WatchTasks(request, metadata=metadata):
                yield _plain(response)

    return watch


def _by_sse(gateways: Gateways, http: aiohttp.ClientSession) -> Open:
    urls = cycle(gateways.rest)

    async def watch(cursor: str) -> AsyncGenerator[Json, None]:
        url = f"{next(urls)}/api/watch"
        async with http.get(url, headers={"Last-Event-ID": cursor} if cursor else {}) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data:"):
                    message = orjson.loads(line[5:])
                    # What is none says why the stream ends.
                    if "events" not in message:
                        return
                    yield message

    return watch


def _plain(response: WatchTasksResponse) -> Json:
    events = [
        {
            "taskId": event.task_id,
            "seq": event.seq,
            "kind": TaskEvent.Kind.Name(event.kind),
            "status": Task.Status.Name(event.status),
            "attempt": event.attempt,
        }
        for event in response.events
    ]
    return {"events": events, "cursor": response.cursor, "restarted": response.restarted}
