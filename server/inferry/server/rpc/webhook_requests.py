"""From requests about webhooks to what they ask for: every check and every default."""

from collections.abc import Iterable

from inferry.server.errors import InvalidPayloadError
from inferry.server.outbound.addresses import Network
from inferry.server.rpc.task_webhooks import events_of, host_in, secret_of
from inferry.server.task.hook import Hook, HookEvent, HookSecret
from inferry.server.task.ids import new_hook_id
from inferry.server.webhooks.hooks import BY_OWNER
from inferry.server.webhooks.secrets import new_secret
from inferry.v1 import webhook_service_pb2 as pb

DAY_MS = 86_400_000
OVERLAP_LIMIT_MS = 7 * DAY_MS


def new_hook(
    request: pb.CreateWebhookRequest, tenant: str, now_ms: int, networks: Iterable[Network]
) -> Hook:
    """Reads a request to create a webhook.

    Raises:
        InvalidPayloadError: Something of it is wrong.
    """
    secret = secret_of(request.secret) if request.secret else new_secret()
    hook = Hook(
        new_hook_id(),
        tenant,
        request.url,
        "",
        HookEvent.COMPLETED,
        now_ms,
        now_ms,
        secrets=(HookSecret(secret, 0),),
    )
    return changed(hook, request, networks)


def changed(
    hook: Hook,
    request: pb.CreateWebhookRequest | pb.UpdateWebhookRequest,
    networks: Iterable[Network],
) -> Hook:
    """Gives a webhook all that a request says of it.

    Raises:
        InvalidPayloadError: Something of it is wrong.
    """
    # Who disabled it is not told anew by who leaves it so.
    disabled = (hook.disabled or BY_OWNER) if request.disabled else ""
    return hook._replace(
        url=request.url,
        host=host_in(request.url, networks, "url"),
        events=events_of(request.events),
        types=tuple(sorted(set(request.types))),
        labels=tuple(sorted(request.labels.items())),
        description=request.description,
        ed25519=request.ed25519,
        disabled=disabled,
    )


def rotation(request: pb.RotateWebhookSecretRequest) -> tuple[str, int]:
    """Reads a request for another secret: the new one, and how long the old one holds.

    Raises:
        InvalidPayloadError: Something of it is wrong.
    """
    overlap_ms = request.overlap_ms if request.HasField("overlap_ms") else DAY_MS
    if not 0 <= overlap_ms <= OVERLAP_LIMIT_MS:
        raise InvalidPayloadError(f"overlap: {overlap_ms}; right is 0 to {OVERLAP_LIMIT_MS}")
    return (secret_of(request.secret) if request.secret else new_secret()), overlap_ms
