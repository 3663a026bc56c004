# Made of client/inferry/client/aio/follower.py by tools/unasync.py.
"""The one stream of a client that tells of the ends of tasks. It is open while somebody waits."""

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import cast

import grpc

from inferry.client.errors import InferryError, Unavailable
from inferry.client.failures import call_error, cut_error, legible
from inferry.client.following import Following, Tell, Told
from inferry.client.patience import Absence, Away, in_silence
from inferry.client.sync.machinery import Job, Mailbox, Stubs, Wake, received
from inferry.v1.task_service_pb2 import FollowTasksRequest, FollowTasksResponse

Metadata = tuple[tuple[str, str], ...]


def _no_more(_response: FollowTasksResponse) -> None:
    """Reads no more in a message than who has ended."""


class Follower:
    """All waits share its stream; after a break it goes on where it was.

    Args:
        stubs: The services.
        metadata: Gives what goes with each call.
        address: Where the gateway should be.
        heard: Is handed each message, after those were told whom it concerns.
        away: Told when the gateway is away.
    """

    def __init__(
        self,
        stubs: Stubs,
        metadata: Callable[[], Metadata],
        address: str,
        heard: Callable[[FollowTasksResponse], object] = _no_more,
        away: Away = in_silence,
    ) -> None:
        self._stubs = stubs
        self._metadata = metadata
        self._address = address
        self._heard = heard
        self._away = away
        self._following = Following()
        self._lock = Lock()
        self._job: Job | None = None
        self._sayings: _Sayings | None = None
        self._closing = Wake()
        self._closed = False
        self._absence = Absence()

    def end_of(self, task_id: str, timeout_s: float | None) -> Told:
        """Waits until a task has ended.

        Returns:
            The task; None if it is to be asked for by itself; or why nobody can tell.

        Raises:
            TimeoutError: It took longer than ``timeout_s``.
        """
        mailbox: Mailbox[Told] = Mailbox()
        self.add(task_id, mailbox.put)
        try:
            return mailbox.get(timeout_s)
        finally:
            self.drop(task_id, mailbox.put)

    def add(self, task_id: str, tell: Tell) -> None:
        """Has ``tell`` called once, when the task has ended or cannot be followed."""
        self.add_all({task_id: tell})

    def add_all(self, tells: Mapping[str, Tell]) -> None:
        """Does the same for many tasks."""
        self._following.add_all(tells)
        with self._lock:
            if self._job is None and not self._closed:
                self._job = Job(self._run, "inferry-follow")
            sayings = self._sayings
        if sayings is not None:
            sayings.wake()

    def drop(self, task_id: str, tell: Tell) -> None:
        """Waits no longer; nothing happens if it was told already."""
        self._following.drop(task_id, tell)
        sayings = self._sayings
        if sayings is not None:
            sayings.wake()

    def close(self) -> None:
        """Ends the stream, and all waits."""
        with self._lock:
            self._closed = True
            job, sayings = self._job, self._sayings
        self._closing.set()
        if sayings is not None:
            sayings.hang_up()
        if job is not None:
            job.stop()
        self._following.fail(Unavailable("this client was closed"))

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException:
            # Whoever ended it from outside: the next wait begins anew.
            self._job = None
            self._following.fail(Unavailable("the wait was broken off"))
            raise

    def _follow(self) -> None:
        while not self._rests():
            try:
                self._stream()
                error: InferryError = cut_error(self._address)
            except grpc.RpcError as broken:
                error = call_error(cast("grpc.Call", broken), self._address)
            except InferryError as refused:
                error = refused
            except Exception as fault:  # noqa: BLE001 - who waits has to be told, whatever it was
                error = InferryError(f"the stream broke: {fault!r}")
            pause_s = self._absence.pause_s(error)
            if pause_s is None:
                self._following.fail(error)
            elif not self._following.idle and not self._closed:
                self._away(error, pause_s)
                self._closing.wait(pause_s)

    def _rests(self) -> bool:
        """Whether there is nothing to do; the next wait begins anew then."""
        with self._lock:
            rests = self._closed or self._following.idle
            if rests:
                self._job = None
                self._absence.over()
            return rests

    def _stream(self) -> None:
        self._absence.tried()
        metadata = self._metadata()
        self._following.begin()
        sayings = _Sayings(self._following)
        call = self._stubs.tasks.FollowTasks(sayings.requests(), metadata=metadata)
        sayings.cancel = call.cancel
        with self._lock:
            self._sayings = sayings
            closed = self._closed
        try:
            if closed:
                return
            for response in received(call):
                self._following.take(legible(response, self._address))
                self._absence.over()
                self._heard(response)
        finally:
            self._sayings = None
            sayings.hang_up()


class _Sayings:
    """What is said on one stream, while it is open."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._wake = Wake()
        self._over = False
        self.cancel: Callable[[], object] | None = None

    def wake(self) -> None:
        """There may be something to say."""
        self._wake.set()

    def hang_up(self) -> None:
        """Ends the stream from this side."""
        self._over = True
        if self.cancel is not None:
            self.cancel()
        self._wake.set()

    def requests(self) -> Iterator[FollowTasksRequest]:
        """Gives the messages to send; what comes while one is being sent goes with the next."""
        while not self._over:
            request = self._following.next_request()
            if request is None:
                self._wake.wait()
            else:
                yield request
