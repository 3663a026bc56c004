"""Creates a task in a call that ends when the task does, and knows the task before that."""

from collections.abc import Iterator
from typing import cast

import grpc

from inferry.cli.session import Session
from inferry.cli.waiting import waiting_for
from inferry.client.failures import call_error, cut_error, legible
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import CreateTaskRequest, CreateTaskResponse
from inferry.wire.early import TASK_ID

_METHOD = "/inferry.v1.TaskService/CreateTask"


def create_and_wait(session: Session, request: CreateTaskRequest) -> CreateTaskResponse:
    """Creates a task, says which and what holds it up, and gives it as it ended.

    Raises:
        InferryError: The gateway refused or cannot be reached.
    """
    connection, address = session.calls.here(), session.calls.settings.address
    # A stream of one answer: of others gRPC tells nothing before the end.
    create = connection.channel.unary_stream(
        _METHOD, CreateTaskRequest.SerializeToString, CreateTaskResponse.FromString
    )
    # It takes as long as the gateway's own timeouts allow.
    call = create(request, metadata=(*connection.metadata(), (TASK_ID, "wanted")))
    try:
        task_id = str(dict(call.initial_metadata() or ()).get(TASK_ID, ""))
        if not task_id:
            return _answer(call, address)
        # Whoever names the request may ask again: then the task is kept.
        stays = bool(request.request_id)
        with waiting_for(session, task_id, Task(id=task_id), stays=stays):
            return _answer(call, address)
    except grpc.RpcError as error:
        name = request.request_id or None
        raise call_error(cast("grpc.Call", error), address, name) from None
    finally:
        call.cancel()


def _answer(call: Iterator[CreateTaskResponse], address: str) -> CreateTaskResponse:
    for response in call:
        return legible(response, address)
    raise cut_error(address)
