"""What a caller wants created -> the request for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from inferry.client.errors import InvalidRequest
from inferry.client.payloads import Payload, payload_text
from inferry.v1.task_pb2 import JSON_TEXT
from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.v1.webhook_pb2 import TaskWebhook

#: What is to be created, or why that cannot be asked for.
Creation = CreateTaskRequest | InvalidRequest

#: The longest time that a request can carry.
_LONGEST_MS = 2**31 - 1

_SPANS = {
    "attempt_timeout": "timeout_ms",
    "queue_timeout": "queue_timeout_ms",
    "silence_timeout": "silence_timeout_ms",
    "total_timeout": "total_timeout_ms",
    "delay": "delay_ms",
    "result_ttl": "result_ttl_ms",
}
_PLAIN = frozenset(
    {"priority", "capabilities", "labels", "idempotent", "max_attempts", "request_id"}
)


class Webhook(TypedDict, total=False):
    """Whom to tell of what happens to a task."""

    #: Where to: http or https. *Required*.
    url: str
    #: What it hears of: ``started``, ``progress``, ``completed``. Default: ``completed``.
    events: Sequence[str]
    #: What messages are signed with, see ``inferry.client.webhooks``: ``whsec_`` and base64 of 24
    #: to 64 bytes. Default: the tenant's Ed25519 key alone.
    secret: str


class Options(TypedDict, total=False):
    """What can be said about a task at its creation. All times are in seconds.

    What is left out is as the gateway has it by default; ``timeout`` is none of these: it is how
    long the caller waits.
    """

    #: How long one attempt may run.
    attempt_timeout: float
    #: How long it may wait for a server.
    queue_timeout: float
    #: How long its server may say nothing of it; 0 is for ever.
    silence_timeout: float
    #: From creation, or the end of its delay, to its end.
    total_timeout: float
    #: Not started before so long from now.
    delay: float
    #: Not started before this time, in place of ``delay``. It needs a time zone.
    not_before: datetime
    #: How long it is kept once it has ended.
    result_ttl: float
    #: 0 (last) to 9 (first).
    priority: int
    #: What the server must be capable of besides the type.
    capabilities: Sequence[str]
    #: The caller's own words about it.
    labels: Mapping[str, str]
    #: True when a second run does no harm, so that it may be repeated after an unclear failure.
    idempotent: bool
    #: Attempts at most.
    max_attempts: int
    #: Whom to tell of its end: a URL or, to say more, a ``Webhook``.
    webhook: str | Webhook
    #: The caller's name for this creation: again with it creates no second task. Default: a new one
    #: for each call, which is what makes it safe to say a creation again when its answer is lost.
    request_id: str


def new_request(task_type: str, payload: Payload, options: Mapping[str, Any]) -> CreateTaskRequest:
    """Makes the request to create a task, with a name of its own unless it is given one.

    Args:
        task_type: What kind of work.
        payload: The work; None for none.
        options: As ``Options`` has them.

    Raises:
        InvalidRequest: The payload has no JSON, or an option is out of its bounds.
        TypeError: An option is none.
    """
    try:
        text = payload_text({} if payload is None else payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"payload: {error}") from error
    request = CreateTaskRequest(
        type=task_type,
        payload_json=text,
        value_format=JSON_TEXT,
        request_id=str(uuid4()),
    )
    for name, value in options.items():
        try:
            _set(request, name, value)
        except ValueError as error:
            # There may be a secret in it.
            shown = "" if name == "webhook" else f" {value!r:.60};"
            raise InvalidRequest(f"{name}:{shown} {error}") from None
    return request


def new_requests(
    task_type: str, payloads: Iterable[Payload], options: Mapping[str, Any]
) -> Iterator[Creation]:
    """Makes the requests to create many tasks; what is wrong with one payload costs no other.

    Raises:
        InvalidRequest: An option is out of its bounds.
        TypeError: An option is none.
    """
    new_request(task_type, None, options)
    for payload in payloads:
        try:
            yield new_request(task_type, payload, options)
        except InvalidRequest as error:
            yield error


def _set(request: CreateTaskRequest, name: str, value: Any) -> None:
    if name in _SPANS:
        setattr(request, _SPANS[name], milliseconds(value))
    elif name == "not_before":
        if value.tzinfo is None:
            raise ValueError("right is a time with a time zone, such as datetime.now(UTC)")
        request.not_before.FromDatetime(value.astimezone(UTC))
    elif name == "labels":
        request.labels.update(value)
    elif name == "webhook":
        said = {"url": value} if isinstance(value, str) else value
        unknown = said.keys() - Webhook.__annotations__.keys()
        if unknown:
            right = ", ".join(Webhook.__annotations__)
            raise TypeError(f"a webhook has no {', '.join(sorted(unknown))}; right are {right}")
        request.webhook.CopyFrom(TaskWebhook(**said))
    elif name == "capabilities":
        request.capabilities.extend(value)
    elif name in _PLAIN:
        setattr(request, name, value)
    else:
        raise TypeError(f"a task has no option {name!r}; right are {', '.join(sorted(_OPTIONS))}")


def milliseconds(seconds: float) -> int:
    """Gives seconds as requests have them; whatever is more than nothing stays so.

    Raises:
        ValueError: No request can carry it.
    """
    if not 0 <= seconds <= _LONGEST_MS / 1_000:
        raise ValueError("right is a number of seconds, 0 to 24 days")
    return max(round(seconds * 1_000), 1 if seconds else 0)


_OPTIONS = Options.__annotations__


class Filters(TypedDict, total=False):
    """Which tasks are meant, besides their status, type and labels; what is left out means all."""

    #: Only tasks whose latest attempt went to this server.
    server_id: str
    #: Only tasks that ended with this code.
    code: str
    #: Only tasks of this tenant: an admin's are those of all.
    tenant: str
    #: Only tasks that failed as those of a group: ``inferry failures`` shows it.
    fingerprint: str
    #: Only tasks that were created at this time or later; without a time zone it is local.
    created_since: datetime | None
    #: Only tasks that ended at this time or later.
    finished_since: datetime | None


def narrowing(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Gives filters as requests have them.

    Raises:
        TypeError: One is none.
    """
    if unknown := filters.keys() - Filters.__annotations__.keys():
        right = ", ".join(Filters.__annotations__)
        raise TypeError(f"there is no filter {', '.join(sorted(unknown))}; right are {right}")
    return {
        name: moment(value) if name.endswith("_since") else value for name, value in filters.items()
    }


def moment(when: datetime | None) -> Timestamp | None:
    """Gives a time as messages have it; one without a time zone is local, as everywhere."""
    if when is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(when.astimezone(UTC))
    return timestamp
