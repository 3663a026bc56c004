"""Which tasks a request means: to list, watch, cancel or retry."""

from collections.abc import Mapping
from typing import TypeAlias

from inferry.server.errors import InvalidPayloadError
from inferry.server.store import TaskFilter
from inferry.server.task.record import STATUS_WORDS, Status
from inferry.v1 import task_service_pb2 as pb

#: What becomes of so many tasks at once if nobody says how many.
BULK_LIMIT = 1_000

_Filtering: TypeAlias = pb.ListTasksRequest | pb.RetryTasksRequest | pb.CancelTasksRequest


def retries_of(request: pb.RetryTasksRequest, tenant: str | None) -> tuple[TaskFilter, int]:
    """Reads which tasks to start again, and how many at most."""
    status = status_of(request.status) or Status.FAILED
    return filter_of(request, tenant, status), request.limit or BULK_LIMIT


def cancels_of(request: pb.CancelTasksRequest, tenant: str | None) -> tuple[TaskFilter, int]:
    """Reads which tasks to cancel, and how many at most."""
    wanted = filter_of(request, tenant, status_of(request.status))
    return wanted, request.limit or BULK_LIMIT


def filter_of(request: _Filtering, tenant: str | None, status: Status | None) -> TaskFilter:
    """Reads which tasks are meant."""
    labels = labels_of(request.labels)
    return TaskFilter(tenant, status, request.type or None, request.server_id or None, labels)


def labels_of(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Reads labels that tasks have to have."""
    return tuple(sorted(given.items()))


def status_of(number: int) -> Status | None:
    """Reads a status; None if it is unset.

    Raises:
        InvalidPayloadError: There is no such status.
    """
    try:
        return Status(number) if number else None
    except ValueError:
        raise InvalidPayloadError(f"status: {number}; one of {STATUS_WORDS}") from None
