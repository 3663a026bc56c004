from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from inferry.cli.follow import line, watch
from inferry.cli.session import session_on
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTaskResponse
from tests.cli.play import TASKS, open_channel

WITHIN_S = 20
CREATED = TaskEvent(seq=1, kind=TaskEvent.CREATED, status=Task.PENDING)
QUEUED = TaskEvent(seq=1, kind=TaskEvent.QUEUED, status=Task.PENDING, queue_position=3)
FINISHED = TaskEvent(seq=2, kind=TaskEvent.FINISHED, status=Task.COMPLETED)


class Watching:
    """A watch, read an event at a time in a thread, and the gateway's side of it."""

    def __init__(self, pool: ThreadPoolExecutor, pauses_s: list[float]) -> None:
        self._pool = pool
        self._channel = open_channel()
        self._events = watch(session_on(self._channel, ()), "task_1", pauses_s)

    def next(self) -> "Future[TaskEvent | None]":
        return self._pool.submit(next, self._events, None)

    def asked(self) -> tuple[int, Any]:
        """Takes the call; gives the number that it asks to go on after, and the stream."""
        method = TASKS.methods_by_name["WatchTask"]
        _, request, stream = self._channel.take_unary_stream(method)
        return request.after_seq, stream


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_watch_goes_on_where_it_was_when_the_gateway_comes_back(pool: ThreadPoolExecutor) -> None:
    watching = Watching(pool, [0.0])
    first = watching.next()
    after, stream = watching.asked()
    stream.send_response(WatchTaskResponse(event=CREATED))
    assert (after, first.result(WITHIN_S)) == (0, CREATED)

    second = watching.next()
    stream.terminate((), grpc.StatusCode.UNAVAILABLE, "gone")
    after, stream = watching.asked()
    stream.send_response(WatchTaskResponse(event=FINISHED))
    assert (after, second.result(WITHIN_S)) == (1, FINISHED)

    end = watching.next()
    stream.terminate((), grpc.StatusCode.OK, "")
    assert end.result(WITHIN_S) is None


def test_a_watch_gives_up_when_the_gateway_stays_away(pool: ThreadPoolExecutor) -> None:
    watching = Watching(pool, [0.0])
    first = watching.next()
    _, stream = watching.asked()
    stream.send_response(WatchTaskResponse(event=CREATED))
    assert first.result(WITHIN_S) == CREATED

    second = watching.next()
    stream.terminate((), grpc.StatusCode.UNAVAILABLE, "gone")
    _, stream = watching.asked()
    stream.terminate((), grpc.StatusCode.UNAVAILABLE, "still gone")
    with pytest.raises(grpc.RpcError):
        second.result(WITHIN_S)


def test_a_new_place_in_the_queue_is_shown_but_is_no_progress(pool: ThreadPoolExecutor) -> None:
    """A gateway that goes away after each place is given up like one that says nothing."""
    watching = Watching(pool, [0.0])
    first = watching.next()
    _, stream = watching.asked()
    stream.send_response(WatchTaskResponse(event=CREATED))
    assert first.result(WITHIN_S) == CREATED

    second = watching.next()
    stream.terminate((), grpc.StatusCode.UNAVAILABLE, "gone")
    after, stream = watching.asked()
    # Whatever number it carries: the watch goes on after the last numbered event.
    stream.send_response(WatchTaskResponse(event=QUEUED))
    assert (after, second.result(WITHIN_S)) == (1, QUEUED)

    third = watching.next()
    stream.terminate((), grpc.StatusCode.UNAVAILABLE, "gone again")
    with pytest.raises(grpc.RpcError):
        third.result(WITHIN_S)


def test_a_line_tells_the_place_in_the_queue() -> None:
    assert line(QUEUED, 0) == "1 QUEUED PENDING 0% place 3 in the queue"
    assert line(CREATED, 0) == "1 CREATED PENDING 0%"


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND])
def test_a_watch_that_never_began_is_not_repeated(
    pool: ThreadPoolExecutor, code: grpc.StatusCode
) -> None:
    watching = Watching(pool, [0.0])
    first = watching.next()
    _, stream = watching.asked()
    stream.terminate((), code, "no")
    with pytest.raises(grpc.RpcError):
        first.result(WITHIN_S)
