"""Which tasks a request means: to list, watch, cancel, retry or purge."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.server.engine.sieve import Sieve
from inferry.server.errors import InvalidPayloadError, PermissionDeniedError
from inferry.server.store import TaskFilter
from inferry.server.task.record import STATUS_WORDS, Status
from inferry.v1 import task_service_pb2 as pb

#: What becomes of so many tasks at once if nobody says how many.
BULK_LIMIT = 1_000

_Narrowing: TypeAlias = (
    pb.ListTasksRequest
    | pb.CountTasksRequest
    | pb.RetryTasksRequest
    | pb.CancelTasksRequest
    | pb.PurgeTasksRequest
)
_Sifting: TypeAlias = pb.ListTasksRequest | pb.CountTasksRequest | pb.RetryTasksRequest


class Wanted(NamedTuple):
    """Which tasks are meant."""

    #: What the store finds.
    filter: TaskFilter
    #: What is looked through.
    sieve: Sieve


def list_of(request: pb.ListTasksRequest | pb.CountTasksRequest, tenant: str | None) -> Wanted:
    """Reads which tasks to list or to count.

    Raises:
        PermissionDeniedError: They are another tenant's.
    """
    return _with_sieve(request, filter_of(request, tenant, status_of(request.status)))


def retries_of(request: pb.RetryTasksRequest, tenant: str | None) -> tuple[Wanted, int]:
    """Reads which tasks to start again, and how many at most.

    Raises:
        PermissionDeniedError: They are another tenant's.
    """
    wanted = filter_of(request, tenant, status_of(request.status) or Status.FAILED)
    return _with_sieve(request, wanted), request.limit or BULK_LIMIT


def cancels_of(request: pb.CancelTasksRequest, tenant: str | None) -> tuple[Wanted, int]:
    """Reads which tasks to cancel, and how many at most.

    Raises:
        PermissionDeniedError: They are another tenant's.
    """
    wanted = filter_of(request, tenant, status_of(request.status))
    sieve = Sieve(created_since_ms=_ms_of(request, "created_since") or 0)
    return Wanted(wanted, sieve), request.limit or BULK_LIMIT


def purges_of(request: pb.PurgeTasksRequest, tenant: str | None) -> tuple[Wanted, int]:
    """Reads which final tasks to drop, and how many at most.

    Raises:
        PermissionDeniedError: They are another tenant's.
    """
    wanted = filter_of(request, tenant, status_of(request.status))
    sieve = Sieve(
        fingerprint=request.fingerprint, finished_before_ms=_ms_of(request, "finished_before")
    )
    return Wanted(wanted, sieve), request.limit or BULK_LIMIT


def filter_of(request: _Narrowing, tenant: str | None, status: Status | None) -> TaskFilter:
    """Reads which tasks the store is to find.

    Args:
        request: Says it.
        tenant: Whose tasks the caller may see; None for everybody's.
        status: Their status; None for any.

    Raises:
        PermissionDeniedError: They are another tenant's.
    """
    code = "" if isinstance(request, pb.CancelTasksRequest) else request.code
    return TaskFilter(
        tenant=tenant_of(request.tenant, tenant),
        status=status,
        type=request.type or None,
        server_id=request.server_id or None,
        code=code or None,
        labels=labels_of(request.labels),
    )


def _with_sieve(request: _Sifting, wanted: TaskFilter) -> Wanted:
    created_since_ms = _ms_of(request, "created_since") or 0
    finished_since_ms = _ms_of(request, "finished_since")
    return Wanted(wanted, Sieve(created_since_ms, finished_since_ms, request.fingerprint))


def _ms_of(request: Message, field: str) -> int | None:
    """Reads a time in milliseconds, rounded up; None if it is unset."""
    if not request.HasField(field):
        return None
    time: Timestamp = getattr(request, field)
    return 1_000 * time.seconds - (-time.nanos // 1_000_000)


def tenant_of(asked: str, visible: str | None) -> str | None:
    """Reads whose tasks are meant; None for everybody's.

    Args:
        asked: The tenant that is named; empty if none is.
        visible: Whose tasks the caller may see; None for everybody's.

    Raises:
        PermissionDeniedError: They are another tenant's.
    """
    if asked and visible not in (None, asked):
        raise PermissionDeniedError("tenant: only an admin may ask for another tenant's tasks")
    return visible or asked or None


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
