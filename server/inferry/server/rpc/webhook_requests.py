"""From requests about webhooks to what they ask for: every default."""

from collections.abc import Iterable

from inferry.server.outbound.addresses import Network
from inferry.server.rpc.task_webhooks import events_of, host_in
from inferry.server.task.hook import Hook, HookEvent, HookSecret
from inferry.server.task.ids import new_hook_id
from inferry.server.webhooks.hooks import BY_OWNER
from inferry.server.webhooks.secrets import new_secret
from inferry.v1 import webhook_service_pb2 as pb

DAY_MS = 86_400_000


def new_hook(
    request: pb.CreateWebhookRequest, tenant: str, now_ms: int, networks: Iterable[Network]
) -> Hook:
    """Reads a request to create a webhook.

    Raises:
        InvalidPayloadError: Something of it is wrong.
    """
    hook = Hook(
        new_hook_id(),
        tenant,
        request.url,
        "",
        HookEvent.COMPLETED,
        now_ms,
        now_ms,
        secrets=(HookSecret(request.secret or new_secret(), 0),),
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
    """Reads a request for another secret: the new one, and how long the old one holds."""
    overlap_ms = request.overlap_ms if request.HasField("overlap_ms") else DAY_MS
    return request.secret or new_secret(), overlap_ms
