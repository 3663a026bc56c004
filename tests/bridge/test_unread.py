"""Who reads nothing of an answer holds nothing for long."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

from inferry.bridge.unread import UnreadTimer
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTaskResponse
from tests.bridge.upstream import running_bridge

WATCH = b"GET /api/tasks/task_1/events HTTP/1.1\r\nHost: a\r\n\r\n"
#: Together more than the sockets between hold.
EVENTS, MESSAGE = 64, "x" * 262_144


class Transport:
    """A connection for which so many bytes wait, each time that it is asked."""

    def __init__(self, *waiting: int) -> None:
        self._waiting: Iterator[int] = iter(waiting)
        self.looks = 0
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return next(self._waiting)

    def abort(self) -> None:
        self.aborted.set()


async def until_aborted(transport: Any) -> int:
    UnreadTimer(0.001).start(transport)
    async with asyncio.timeout(10):
        await transport.aborted.wait()
    return int(transport.looks)


async def test_a_stream_that_nobody_reads_ends() -> None:
    async with running_bridge(keepalive_timeout_ms=50) as client:
        for seq in range(1, EVENTS + 1):
            told = TaskEvent(task_id="task_1", seq=seq, kind=TaskEvent.PROGRESSED, message=MESSAGE)
            told.status = Task.PROCESSING
            client.upstream.events.put_nowait(WatchTaskResponse(event=told))
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", client.port))
            deaf.sendall(WATCH)
            async with asyncio.timeout(10):
                await client.upstream.broken_off.wait()


async def test_who_takes_some_of_an_answer_is_waited_for() -> None:
    # It takes some, twice, then nothing.
    assert await until_aborted(Transport(300, 200, 200, 100, 100, 100)) == 6
    # What comes meanwhile is not taken by anybody.
    assert await until_aborted(Transport(300, 310)) == 2


async def test_who_has_caught_up_is_not_hung_up() -> None:
    transport: Any = Transport(300)
    timer = UnreadTimer(0.0)
    timer.start(transport)
    timer.stop()
    for _ in range(3):
        await asyncio.sleep(0)
    assert (transport.looks, transport.aborted.is_set()) == (1, False)
