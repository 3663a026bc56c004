# Made of client/inferry/client/aio/creation.py by tools/unasync.py.
"""Tasks are created: one, or many in batches. Each has a key, so it may be said again."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy

from inferry.client.batching import batches, results_of
from inferry.client.errors import InferryError, QueueFull
from inferry.client.failures import odd_error, refusal_error
from inferry.client.patience import Patience
from inferry.client.requests import Creation
from inferry.client.sync.calls import Calls
from inferry.client.sync.machinery import sleep
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResult,
    CancelTaskRequest,
    CreateTaskRequest,
)

Answer = Task | InferryError

#: How long it may take to take back what nobody waits for any more.
_UNDO_S = 5.0


def create(calls: Calls, request: CreateTaskRequest, patience: Patience) -> Task:
    """Creates a task.

    Raises:
        InferryError: The gateway refused, or cannot be reached.
    """
    task = (calls.ask(lambda s: s.tasks.CreateTask, request, patience)).task
    if not task.id:
        raise odd_error("the answer to a creation names no task")
    return task


def undo(calls: Calls, task_ids: Iterable[str], unanswered: Sequence[Creation] = ()) -> None:
    """Cancels tasks that nobody waits for any more; no error where that cannot be.

    Args:
        calls: The way to the gateway.
        task_ids: The tasks.
        unanswered: Creations whose answers did not come: they are said again, which tells the
            tasks, for each has a key.
    """
    patience = calls.patience(_UNDO_S)
    answers = create_many(calls, unanswered, _UNDO_S)
    late = [answer.id for answer in answers if isinstance(answer, Task)]
    for task_id in (*task_ids, *late):
        request = CancelTaskRequest(id=task_id, reason="its caller waits no longer")
        with suppress(InferryError):
            if patience.left_s() != 0:
                calls.ask(lambda s: s.tasks.CancelTask, request, patience)


def create_many(
    calls: Calls, requests: Sequence[Creation], timeout_s: float | None
) -> list[Answer]:
    """Creates tasks, with an answer for each: the task, or why there is none.

    Args:
        calls: The way to the gateway.
        requests: What to create, each with a key of its own; or why that cannot be asked for.
        timeout_s: How long each batch may take.
    """
    wanted = [one for one in requests if isinstance(one, CreateTaskRequest)]
    made: list[Answer] = []
    for batch in batches(wanted):
        patience = calls.patience(timeout_s)
        made += _batch(calls, [wanted[index] for index in batch], patience)
    answers = iter(made)
    return [one if isinstance(one, InferryError) else next(answers) for one in requests]


def _batch(calls: Calls, requests: Sequence[CreateTaskRequest], patience: Patience) -> list[Answer]:
    """Creates the tasks of a batch; those that find the queue full are said again later."""
    answers: dict[str, Answer] = {}
    left = list(requests)
    while left:
        answers |= _once(calls, left, patience)
        full = [one for one in left if isinstance(answers[one.request_id], QueueFull)]
        refusal = answers[full[-1].request_id] if full else None
        if not isinstance(refusal, QueueFull):
            break
        pause_s = patience.pause_s(refusal, safe=True)
        if pause_s is None:
            break
        sleep(pause_s)
        left = full
    return [answers[one.request_id] for one in requests]


def _once(
    calls: Calls, requests: Sequence[CreateTaskRequest], patience: Patience
) -> dict[str, Answer]:
    """Gives the answers by the keys of the requests."""
    first = requests[0]
    try:
        if len(requests) == 1:
            # One that is too large for any batch is alone in its own: a call has another limit.
            return {first.request_id: create(calls, first, patience)}
        batch = BatchCreateTasksRequest(requests=requests)
        response = calls.ask(lambda s: s.tasks.BatchCreateTasks, batch, patience)
        results = results_of(response, len(requests))
    except InferryError as error:
        return {one.request_id: _about(error, one) for one in requests}
    return {
        one.request_id: _answer(result, one) for one, result in zip(requests, results, strict=True)
    }


def _answer(result: BatchCreateTasksResult, request: CreateTaskRequest) -> Answer:
    if result.HasField("refusal"):
        return refusal_error(result.refusal, request.request_id)
    return result.task


def _about(error: InferryError, request: CreateTaskRequest) -> InferryError:
    own = copy(error)
    own.request_id = request.request_id
    return own
