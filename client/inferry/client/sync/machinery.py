"""What a synchronous client is made of where it differs in nature from an asynchronous one.

``inferry.client.aio.machinery`` has the same names.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

import grpc

from inferry.client.config import CHANNEL_OPTIONS, Settings
from inferry.client.forks import note_channel
from inferry.v1.access_service_pb2_grpc import AccessServiceStub
from inferry.v1.queue_service_pb2_grpc import QueueServiceStub
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.stats_service_pb2_grpc import StatsServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.webhook_service_pb2_grpc import WebhookServiceStub

Item = TypeVar("Item")
Made = TypeVar("Made")

Channel = grpc.Channel
sleep = time.sleep
#: Reads that nobody can break off.
received = iter
#: How long a job may take to notice that it is stopped.
_STOP_S = 5.0


def open_channel(settings: Settings) -> Channel:
    """Opens a channel, which connects when it is first used.

    Raises:
        RuntimeError: This process was forked from one that had opened a channel.
    """
    note_channel()
    if settings.credentials is None:
        return grpc.insecure_channel(settings.address, options=CHANNEL_OPTIONS)
    return grpc.secure_channel(settings.address, settings.credentials, options=CHANNEL_OPTIONS)


def resolved(token: object) -> str:
    """Gives a token, which its source gives at once.

    Raises:
        TypeError: It is something to wait for.
    """
    if not isinstance(token, str):
        raise TypeError(f"a token source of a synchronous client gives a str, got {token!r:.60}")
    return token


def see_through(work: Callable[[], None]) -> None:
    """Does something to its end."""
    work()


@dataclass(frozen=True, slots=True)
class Stubs:
    """The services of a gateway."""

    tasks: TaskServiceStub
    servers: ServerServiceStub
    queue: QueueServiceStub
    access: AccessServiceStub
    webhooks: WebhookServiceStub
    stats: StatsServiceStub


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
        self._items: SimpleQueue[Item] = SimpleQueue()

    def put(self, item: Item) -> None:
        """Puts something in."""
        self._items.put(item)

    def get(self, timeout_s: float | None = None) -> Item:
        """Takes the next one.

        Raises:
            TimeoutError: None came in time.
        """
        try:
            return self._items.get(timeout=timeout_s)
        except Empty:
            raise TimeoutError from None

    def get_more(self) -> list[Item]:
        """Takes all that is there."""
        items: list[Item] = []
        with suppress(Empty):
            while True:
                items.append(self._items.get_nowait())
        return items


class Wake:
    """Wakes one waiter, or the next one that comes."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        """Wakes it."""
        self._event.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Waits to be woken, or for the time to be over."""
        self._event.wait(timeout_s)
        self._event.clear()


class Job:
    """Something that goes on beside its caller, until it ends: a thread that keeps nobody alive."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        self._thread = Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Waits for its end, which its owner has brought about."""
        self._thread.join(_STOP_S)


class Home(Generic[Made]):
    """Makes something once for each process: no channel works in another.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._lock = Lock()
        self._pid = os.getpid()
        self._made: Made | None = None
        self._inherited: list[object] = []

    def here(self) -> Made:
        """Gives that of this process."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def leave(self) -> Made | None:
        """Gives that of this process, if there is one, and forgets it."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            mine, self._made = self._made, None
            return mine

    def _begin_anew(self) -> None:
        """Forgets what a fork left behind, which belongs to the parent's threads; so does a lock.

        It is kept as it is: to end it would speak to the gateway in the parent's name.
        """
        self._inherited.append(self._made)
        self._pid, self._made, self._lock = os.getpid(), None, Lock()
