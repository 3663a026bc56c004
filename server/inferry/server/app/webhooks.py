"""The webhooks: all that is told to others, put together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from inferry.server.app.core import Core
from inferry.server.loop import Loop
from inferry.server.outbound.courier import Courier
from inferry.server.rpc.webhook_service import WebhookServicer
from inferry.server.webhooks.addressing import Addressing
from inferry.server.webhooks.counting import Counting
from inferry.server.webhooks.delivering import Postman
from inferry.server.webhooks.hooks import Hooks
from inferry.server.webhooks.sender import Sender
from inferry.server.webhooks.signing import Signer
from inferry.server.webhooks.slots import Slots
from inferry.server.webhooks.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The parts that others are handed."""

    addressing: Addressing
    courier: Courier
    servicer: WebhookServicer
    #: In the order in which they are to be started.
    loops: Sequence[Loop]


def new_webhooks(core: Core) -> Webhooks:
    """Makes what webhooks need, and has the store ask who hears of an event."""
    config, clock, store, committer = core.config, core.clock, core.store, core.committer
    bell, signer, courier = asyncio.Event(), Signer(core.secret), Courier(config.webhook_networks)
    waiting_limit = config.webhook_waiting_limit
    store.addressees = addressing = Addressing(core.public_url, bell, waiting_limit)
    postman = Postman(
        courier=courier,
        signer=signer,
        clock=clock,
        wall=clock.wall,
        random=Random(),  # noqa: S311  # jitter
        timeout_ms=config.webhook_timeout_ms,
    )
    hooks = Hooks(
        store=store,
        committer=committer,
        reader=core.cases.reader,
        postman=postman,
        clock=clock,
        per_tenant=config.webhook_limit,
    )
    sender = Sender(
        store=store,
        committer=committer,
        postman=postman,
        slots=Slots(config.webhook_per_host, config.webhook_at_once),
        bell=bell,
        clock=clock,
        tenure=core.memory.tenure,
    )
    meters = core.memory.telemetry.meters
    if meters is not None:
        sender.listener = Counting(meters)
    upkeep = Upkeep(
        store=store,
        committer=committer,
        addressing=addressing,
        company=core.memory.company,
        clock=clock,
        keep_ms=config.webhook_keep_ms,
        waiting_limit=waiting_limit,
    )
    servicer = WebhookServicer(hooks, signer, clock, config.webhook_networks)
    return Webhooks(addressing, courier, servicer, (upkeep, sender))
