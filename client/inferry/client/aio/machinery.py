"""What an asynchronous client is made of where it differs in nature from a synchronous one.

``inferry.client.sync.machinery`` has the same names.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
import grpc.aio

from inferry.client.config import CHANNEL_OPTIONS, Settings
from inferry.client.forks import note_channel
from inferry.v1.access_service_pb2_grpc import AccessServiceStub
from inferry.v1.queue_service_pb2_grpc import QueueServiceStub
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.stats_service_pb2_grpc import StatsServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.webhook_service_pb2_grpc import WebhookServiceStub
from inferry.wire.reads import Received

if TYPE_CHECKING:
    from inferry.v1.access_service_pb2_grpc import AccessServiceAsyncStub
    from inferry.v1.queue_service_pb2_grpc import QueueServiceAsyncStub
    from inferry.v1.server_service_pb2_grpc import ServerServiceAsyncStub
    from inferry.v1.stats_service_pb2_grpc import StatsServiceAsyncStub
    from inferry.v1.task_service_pb2_grpc import TaskServiceAsyncStub
    from inferry.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub

Item = TypeVar("Item")
Made = TypeVar("Made")

Channel = grpc.aio.Channel
sleep = asyncio.sleep
received = Received

#: Keeps what outlives its caller from being collected.
_seen_through: set[asyncio.Task[Any]] = set()


def open_channel(settings: Settings) -> Channel:
    """Opens a channel, which connects when it is first used.

    Raises:
        RuntimeError: This process was forked from one that had opened a channel.
    """
    note_channel()
    if settings.credentials is None:
        return grpc.aio.insecure_channel(settings.address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(settings.address, settings.credentials, options=CHANNEL_OPTIONS)


async def resolved(token: str | Awaitable[str]) -> str:
    """Gives a token that its source may have to wait for."""
    return await token if isawaitable(token) else token


async def see_through(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Does something to its end even if the caller is cancelled meanwhile."""
    task = asyncio.create_task(work())
    _seen_through.add(task)
    task.add_done_callback(_seen_through.discard)
    await asyncio.shield(task)


@dataclass(frozen=True, slots=True)
class Stubs:
    """The services of a gateway."""

    tasks: "TaskServiceAsyncStub"
    servers: "ServerServiceAsyncStub"
    queue: "QueueServiceAsyncStub"
    access: "AccessServiceAsyncStub"
    webhooks: "WebhookServiceAsyncStub"
    stats: "StatsServiceAsyncStub"


def stubs_on(channel: Channel) -> Stubs:
    """Makes the stubs on a channel."""
    return Stubs(
        tasks=TaskServiceStub(channel),
        servers=ServerServiceStub(channel),
        queue=QueueServiceStub(channel),
        access=AccessServiceStub(channel),
        webhooks=WebhookServiceStub(channel),
        stats=StatsServiceStub(channel),
    )


class Mailbox(Generic[Item]):
    """Takes what others put in, in its order."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Item] = asyncio.Queue()

    def put(self, item: Item) -> None:
        """Puts something in."""
        self._items.put_nowait(item)

    async def get(self, timeout_s: float | None = None) -> Item:
        """Takes the next one.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(timeout_s):
            return await self._items.get()

    def get_more(self) -> list[Item]:
        """Takes all that is there."""
        return [self._items.get_nowait() for _ in range(self._items.qsize())]


class Wake:
    """Wakes one waiter, or the next one that comes."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wakes it."""
        self._event.set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Waits to be woken, or for the time to be over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        self._event.clear()


class Job:
    """Something that goes on beside its caller, until it ends or is stopped."""

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._task = asyncio.create_task(run(), name=name)

    async def stop(self) -> None:
        """Ends it, and waits for that."""
        self._task.cancel()
        await asyncio.wait([self._task])


class Home(Generic[Made]):
    """Makes something once for each event loop and process: no channel works in another.

    Args:
        make: Makes it, in the loop that it is for.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._lock = Lock()
        self._pid = os.getpid()
        self._made: dict[asyncio.AbstractEventLoop, Made] = {}
        self._inherited: list[object] = []

    def here(self) -> Made:
        """Gives that of the running loop."""
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            if loop not in self._made:
                self._made = {one: made for one, made in self._made.items() if not one.is_closed()}
                self._made[loop] = self._make()
            return self._made[loop]

    def leave(self) -> Made | None:
        """Gives that of the running loop, if there is one, and forgets it and all others."""
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            mine = self._made.get(loop)
            self._made = {}
            return mine

    def _begin_anew(self) -> None:
        """Forgets what a fork left behind, which belongs to the parent's threads; so does a lock.

        It is kept as it is: to end it would speak to the gateway in the parent's name.
        """
        self._inherited.append(self._made)
        self._pid, self._made, self._lock = os.getpid(), {}, Lock()
