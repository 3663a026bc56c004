"""What is said of webhooks, of a task's own and of others: checked, and as the core has it."""

from collections.abc import Iterable

from inferry.server.config import Config
from inferry.server.errors import InvalidPayloadError
from inferry.server.outbound.addresses import Network
from inferry.server.rpc.requests import check_request
from inferry.server.task.hook import Hook, HookEvent, HookSecret
from inferry.server.task.record import TaskSpec
from inferry.server.webhooks.urls import BadUrlError, host_of
from inferry.v1 import webhook_pb2

_EVENTS = {event.name.lower(): event for event in HookEvent if event.name}


def own_hook(request: webhook_pb2.TaskWebhook, spec: TaskSpec, config: Config) -> Hook:
    """Reads the webhook of a task that is to be created.

    Raises:
        InvalidPayloadError: Something of it is wrong.
    """
    check_request(request, "webhook")
    secrets = (HookSecret(request.secret, 0),) if request.secret else ()
    return Hook(
        spec.id,
        spec.tenant,
        request.url,
        host_in(request.url, config.webhook_networks, "webhook.url"),
        events_of(request.events),
        spec.created_ms,
        spec.created_ms,
        secrets=secrets,
        ed25519=not secrets,
        own=True,
    )


def host_in(url: str, networks: Iterable[Network], field: str) -> str:
    """Finds the host and port of a webhook's URL.

    Raises:
        InvalidPayloadError: It can be no webhook's.
    """
    try:
        return host_of(url, [*networks])
    except BadUrlError as error:
        # There may be a password in it: nothing of it is quoted.
        raise InvalidPayloadError(f"{field}: {error}") from None


def events_of(given: Iterable[str]) -> HookEvent:
    """Reads what a webhook is to hear of."""
    events = HookEvent(0)
    for word in given:
        events |= _EVENTS[word]
    return events or HookEvent.COMPLETED


def event_words(events: HookEvent) -> list[str]:
    """Lists what a webhook hears of, in words."""
    return [word for word, event in _EVENTS.items() if event & events]
