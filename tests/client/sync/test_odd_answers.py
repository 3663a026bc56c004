# Made of tests/client/aio/test_odd_answers.py by tools/unasync.py.
"""A gateway that answers with what is no message at all."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from inferry.client import Client, InferryError
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.server_service_pb2 import ListServersRequest, ListServersResponse

NO_MESSAGE = b"\xff\xff"
#: What comes in pages: what is asked, and what is answered.
PAGED: dict[str, tuple[Any, Any]] = {
    "ListTasks": (pb.ListTasksRequest, pb.ListTasksResponse),
    "RetryTasks": (pb.RetryTasksRequest, pb.RetryTasksResponse),
    "CancelTasks": (pb.CancelTasksRequest, pb.CancelTasksResponse),
    "ListServers": (ListServersRequest, ListServersResponse),
}


def answer(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    return NO_MESSAGE


def stream(_requests: Any, _context: grpc.ServicerContext) -> Iterator[bytes]:
    yield NO_MESSAGE


class Odd(grpc.GenericRpcHandler):
    """Answers every method."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if "WatchTask" in str(details.method):
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)


class Circle(grpc.GenericRpcHandler):
    """Answers what comes in pages with two of them in turn, for ever."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        asked, answers = PAGED[str(details.method).rpartition("/")[2]]

        def turn(request: bytes, _context: grpc.ServicerContext) -> bytes:
            other = "b" if asked.FromString(request).page_token == "a" else "a"
            return bytes(answers(next_page_token=other).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(turn)


@contextmanager
def odd_gateway(handler: grpc.GenericRpcHandler | None = None) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler or Odd(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0)


def events(client: Client) -> None:
    for _ in client.task("task_1").events():
        raise AssertionError("nothing was said")


def watch(client: Client) -> None:
    for _ in client.watch():
        raise AssertionError("nothing was said")


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.run("t", {}),
        lambda client: client.task("task_1").get(),
        lambda client: client.servers(),
        events,
        watch,
    ],
    ids=["run", "get", "servers", "events", "watch"],
)
def test_what_is_no_message_is_an_error_of_the_tree(
    act: Callable[[Client], Any],
) -> None:
    with odd_gateway() as address:
        with Client(address, "token", timeout=5, retries=0) as client:
            with pytest.raises(InferryError):
                act(client)


def tasks(client: Client) -> None:
    for _ in client.tasks():
        raise AssertionError("no task is there")


@pytest.mark.parametrize(
    "act",
    [
        tasks,
        lambda client: client.servers(),
        lambda client: client.retry_all(),
        lambda client: client.cancel_all("PENDING"),
    ],
    ids=["tasks", "servers", "retry_all", "cancel_all"],
)
def test_a_list_that_goes_round_in_a_circle_has_an_end(
    act: Callable[[Client], Any],
) -> None:
    with odd_gateway(Circle()) as address:
        with Client(address, "token", timeout=5, retries=0) as client:
            with pytest.raises(InferryError, match="was there before"):
                act(client)
