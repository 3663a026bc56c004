"""Creations in batches, by count and by bytes."""

from collections.abc import Iterator, Sequence

from inferry.client.failures import odd_error
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksResponse,
    BatchCreateTasksResult,
    CreateTaskRequest,
)

#: What a gateway takes in one call.
BATCH_TASKS = 1_000
BATCH_BYTES = 3 * 1024 * 1024
#: What a request takes in a batch beside its own bytes: a tag and a length.
_FRAME_BYTES = 6


def batches(requests: Sequence[CreateTaskRequest]) -> Iterator[list[int]]:
    """Gives the indexes of the requests of each batch, in their order.

    A request that is too large for any batch is one by itself.
    """
    batch: list[int] = []
    size = 0
    for index, request in enumerate(requests):
        more = request.ByteSize() + _FRAME_BYTES
        if batch and (len(batch) == BATCH_TASKS or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += more
    if batch:
        yield batch


def results_of(response: BatchCreateTasksResponse, count: int) -> Sequence[BatchCreateTasksResult]:
    """Gives the results of a batch of so many creations, in their order.

    Raises:
        InferryError: Not each of them has one: nobody can tell whose is missing.
    """
    told = [one for one in response.results if one.task.id or one.HasField("refusal")]
    if len(told) == len(response.results) == count:
        return told
    raise odd_error(f"the answer tells of {len(told)} of {count} creations")
