"""WebhookService: from messages to the use cases of webhooks and back."""

from collections.abc import Sequence
from typing import Any

from inferry.server.clock import Clock
from inferry.server.outbound.addresses import Network
from inferry.server.rpc.admission import caller, visible_tenant
from inferry.server.rpc.convert import timestamp
from inferry.server.rpc.pages import fitting
from inferry.server.rpc.task_webhooks import event_words
from inferry.server.rpc.webhook_requests import changed, new_hook, rotation
from inferry.server.task.hook import Delivery, DeliveryState, Hook
from inferry.server.webhooks.attempts import Try, tries_of
from inferry.server.webhooks.hooks import Hooks
from inferry.server.webhooks.message import message_id
from inferry.server.webhooks.signing import Signer
from inferry.v1 import webhook_pb2, webhook_service_pb2_grpc
from inferry.v1 import webhook_service_pb2 as pb

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Everything that can be done with webhooks.

    Args:
        hooks: Does it.
        signer: Has the tenants' keys.
        clock: The time.
        networks: Private networks in which webhooks may be.
    """

    def __init__(
        self, hooks: Hooks, signer: Signer, clock: Clock, networks: Sequence[Network]
    ) -> None:
        self._hooks = hooks
        self._signer = signer
        self._clock = clock
        self._networks = networks

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, context: Context
    ) -> pb.CreateWebhookResponse:
        """Creates a webhook, and tells its secret."""
        hook = new_hook(request, caller().tenant, self._clock.now_ms(), self._networks)
        added = await self._hooks.create(hook)
        return pb.CreateWebhookResponse(webhook=self._webhook(added, with_secret=True))

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, context: Context
    ) -> pb.ListWebhooksResponse:
        """Lists the tenant's webhooks."""
        found = await self._hooks.all(visible_tenant())
        return pb.ListWebhooksResponse(webhooks=fitting(self._webhook(one) for one in found))

    async def GetWebhook(
        self, request: pb.GetWebhookRequest, context: Context
    ) -> pb.GetWebhookResponse:
        """Reads a webhook."""
        hook = await self._hooks.get(request.id, visible_tenant())
        return pb.GetWebhookResponse(webhook=self._webhook(hook))

    async def UpdateWebhook(
        self, request: pb.UpdateWebhookRequest, context: Context
    ) -> pb.UpdateWebhookResponse:
        """Says anew all that can be said of a webhook."""
        networks = self._networks
        hook = await self._hooks.change(
            request.id, visible_tenant(), lambda before: changed(before, request, networks)
        )
        return pb.UpdateWebhookResponse(webhook=self._webhook(hook))

    async def DeleteWebhook(
        self, request: pb.DeleteWebhookRequest, context: Context
    ) -> pb.DeleteWebhookResponse:
        """Removes a webhook."""
        await self._hooks.drop(request.id, visible_tenant())
        return pb.DeleteWebhookResponse()

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        """Gives a webhook a new secret, and tells it."""
        secret, overlap_ms = rotation(request)
        hook = await self._hooks.rotate(request.id, visible_tenant(), secret, overlap_ms)
        return pb.RotateWebhookSecretResponse(webhook=self._webhook(hook, with_secret=True))

    async def PingWebhook(
        self, request: pb.PingWebhookRequest, context: Context
    ) -> pb.PingWebhookResponse:
        """Sends a webhook a message that says nothing."""
        one = await self._hooks.ping(request.id, visible_tenant())
        return pb.PingWebhookResponse(attempt=_attempt(one))

    async def ReplayWebhook(
        self, request: pb.ReplayWebhookRequest, context: Context
    ) -> pb.ReplayWebhookResponse:
        """Sends a webhook again what it was to be told since a time."""
        since_ms = request.since.seconds * 1_000 + request.since.nanos // 1_000_000
        state = DeliveryState.DELIVERED if request.delivered else DeliveryState.FAILED
        done = await self._hooks.replay(request.id, visible_tenant(), since_ms, state)
        return pb.ReplayWebhookResponse(replayed=done.count, more=done.more)

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context: Context
    ) -> pb.ListDeliveriesResponse:
        """Lists what was, or is to be, told of a task."""
        found = await self._hooks.deliveries(request.id, visible_tenant())
        return pb.ListDeliveriesResponse(deliveries=fitting(map(_delivery, found)))

    async def Redeliver(
        self, request: pb.RedeliverRequest, context: Context
    ) -> pb.RedeliverResponse:
        """Sends what was told of an event again."""
        count = await self._hooks.redeliver(
            request.id, request.seq, request.webhook_id or None, visible_tenant()
        )
        return pb.RedeliverResponse(redelivered=count)

    async def GetWebhookKey(
        self, request: pb.GetWebhookKeyRequest, context: Context
    ) -> pb.GetWebhookKeyResponse:
        """Gives the tenant's public key."""
        return pb.GetWebhookKeyResponse(public_key=self._signer.public_key(caller().tenant))

    def _webhook(self, hook: Hook, *, with_secret: bool = False) -> webhook_pb2.Webhook:
        newest, *older = hook.secrets
        now_ms = self._clock.now_ms()
        until_ms = max((one.until_ms for one in older if one.until_ms > now_ms), default=0)
        return webhook_pb2.Webhook(
            id=hook.id,
            tenant=hook.tenant,
            url=hook.url,
            events=event_words(hook.events),
            types=hook.types,
            labels=dict(hook.labels),
            description=hook.description,
            ed25519=hook.ed25519,
            disabled=bool(hook.disabled),
            disabled_reason=hook.disabled,
            secret=newest.text if with_secret else "",
            public_key=self._signer.public_key(hook.tenant) if hook.ed25519 else "",
            old_secret_until=timestamp(until_ms),
            created_at=timestamp(hook.created_ms),
            updated_at=timestamp(hook.updated_ms),
        )


def _delivery(one: Delivery) -> webhook_pb2.Delivery:
    return webhook_pb2.Delivery(
        message_id=message_id(one.key),
        webhook_id=one.key.hook_id,
        task_id=one.key.task_id,
        seq=one.key.seq,
        event=event_words(one.event)[0],
        state=webhook_pb2.Delivery.State.ValueType(one.state),
        created_at=timestamp(one.created_ms),
        tries=one.tries,
        next_attempt_at=timestamp(one.next_ms),
        ended_at=timestamp(one.ended_ms),
        attempts=map(_attempt, tries_of(one.attempts)),
    )


def _attempt(one: Try) -> webhook_pb2.DeliveryAttempt:
    return webhook_pb2.DeliveryAttempt(
        at=timestamp(one.at_ms), took_ms=one.took_ms, status_code=one.status, answer=one.answer
    )
