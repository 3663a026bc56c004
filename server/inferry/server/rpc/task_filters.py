"""Which tasks a request means: to list, watch, cancel or retry."""

from collections.abc import Mapping
from typing import TypeAlias

from inferry.server.errors import InvalidPayloadError
from inferry.server.rpc.task_requests import check_labels, within
from inferry.server.store import TaskFilter
from inferry.server.task.lifecycle import RETRYABLE
from inferry.server.task.record import STATUS_WORDS, Status
from inferry.v1 import task_service_pb2 as pb

BULK_LIMIT = 1_000
#: Labels that tasks may have to have.
LABELS_LIMIT = 8

_Filtering: TypeAlias = pb.ListTasksRequest | pb.RetryTasksRequest | pb.CancelTasksRequest


def retries_of(request: pb.RetryTasksRequest, tenant: str | None) -> tuple[TaskFilter, int]:
    """Reads which tasks to start again, and how many at most.

    Raises:
        InvalidPayloadError: Tasks of this status cannot be started again, or a value is none.
    """
    status = status_of(request.status) or Status.FAILED
    if status not in RETRYABLE:
        words = ", ".join(one.name for one in RETRYABLE)
        raise InvalidPayloadError(f"status: {status.name}; one of {words}")
    return filter_of(request, tenant, status), _bulk_limit(request.limit)


def cancels_of(request: pb.CancelTasksRequest, tenant: str | None) -> tuple[TaskFilter, int]:
    """Reads which tasks to cancel, and how many at most.

    Raises:
        InvalidPayloadError: Nothing says which, or tasks of this status have ended.
    """
    status = status_of(request.status)
    if status is not None and status.final:
        raise InvalidPayloadError(f"status: {status.name}; PENDING or PROCESSING")
    wanted = filter_of(request, tenant, status)
    if wanted == TaskFilter(tenant):
        raise InvalidPayloadError("say which tasks: type, serverId, labels or status is missing")
    return wanted, _bulk_limit(request.limit)


def filter_of(request: _Filtering, tenant: str | None, status: Status | None) -> TaskFilter:
    """Reads which tasks are meant.

    Raises:
        InvalidPayloadError: A label is none.
    """
    labels = labels_of(request.labels)
    return TaskFilter(tenant, status, request.type or None, request.server_id or None, labels)


def labels_of(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Reads labels that tasks have to have.

    Raises:
        InvalidPayloadError: There are too many, or one is none.
    """
    within("labels", len(given), 0, LABELS_LIMIT)
    check_labels(given)
    return tuple(sorted(given.items()))


def _bulk_limit(asked: int) -> int:
    return within("limit", asked, 0, BULK_LIMIT) or BULK_LIMIT


def status_of(number: int) -> Status | None:
    """Reads a status; None if it is unset.

    Raises:
        InvalidPayloadError: There is no such status.
    """
    try:
        return Status(number) if number else None
    except ValueError:
        raise InvalidPayloadError(f"status: {number}; one of {STATUS_WORDS}") from None
