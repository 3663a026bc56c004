"""Brings one delivery to its receiver, and judges the answer."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from inferry.server.clock import Clock
from inferry.server.outbound.courier import Courier, Receipt
from inferry.server.outbound.errors import OutboundError
from inferry.server.task.hook import Claim, DeliveryState, HookSecret
from inferry.server.telemetry.trace import NO_TRACE, Trace
from inferry.server.webhooks.attempts import ANSWER_CHARS, Try, snippet
from inferry.server.webhooks.message import message_id
from inferry.server.webhooks.schedule import is_stale, next_try_ms
from inferry.server.webhooks.signing import Signer

_GOOD = range(200, 300)
_GONE = 410


class Verdict(NamedTuple):
    """How a try went, and what follows."""

    state: DeliveryState
    #: When it is tried again, if WAITING.
    next_ms: int
    attempt: Try
    #: Why its webhook is to hear of nothing any more.
    disable: str = ""
    #: Whether the receiver's host is well.
    answered: bool = False


class Postman:
    """Sends deliveries, one by one.

    Args:
        courier: Sends them.
        signer: Signs them.
        clock: The time.
        wall: The machine's clock, by which receivers judge how old a message is.
        random: Spreads tries.
        timeout_ms: What a receiver may take.
    """

    def __init__(
        self,
        *,
        courier: Courier,
        signer: Signer,
        clock: Clock,
        wall: Clock,
        random: Random,
        timeout_ms: int,
    ) -> None:
        self._courier = courier
        self._signer = signer
        self._clock = clock
        self._wall = wall
        self._random = random
        self._timeout_s = timeout_ms / 1_000

    async def deliver(self, claim: Claim) -> Verdict:
        """Sends a delivery once."""
        now_ms = self._clock.now_ms()
        if is_stale(claim.event, claim.created_ms, now_ms):
            old = Try(now_ms, 0, 0, "not sent: too old to be of use")
            return Verdict(DeliveryState.FAILED, 0, old, answered=True)
        secrets = live(claim.secrets, now_ms)
        tenant = claim.tenant if claim.ed25519 or not secrets else None
        name = message_id(claim.key)
        trace = Trace(claim.traceparent, claim.tracestate)
        one, receipt = await self.post(claim.url, name, claim.body, secrets, tenant, trace)
        return self._judge(claim, one, receipt)

    async def post(
        self,
        url: str,
        name: str,
        body: bytes,
        secrets: Sequence[str],
        tenant: str | None,
        trace: Trace = NO_TRACE,
    ) -> tuple[Try, Receipt | None]:
        """Posts a message; returns how that went, and the answer if there is one.

        Args:
            url: Where to.
            name: Of the message.
            body: A JSON text.
            secrets: What it is signed with.
            tenant: Whose Ed25519 key signs it, too.
            trace: Goes with it.
        """
        began_ms = self._clock.now_ms()
        at_s = self._wall.now_ms() // 1_000
        headers = {**trace.headers, **self._signer.headers(name, at_s, body, secrets, tenant)}
        try:
            receipt = await self._courier.post(url, body, headers, self._timeout_s)
        except OutboundError as error:
            took_ms = self._clock.now_ms() - began_ms
            return Try(began_ms, took_ms, 0, str(error)[:ANSWER_CHARS]), None
        took_ms = self._clock.now_ms() - began_ms
        return Try(began_ms, took_ms, receipt.status, snippet(receipt.body)), receipt

    def _judge(self, claim: Claim, one: Try, receipt: Receipt | None) -> Verdict:
        if receipt is not None and receipt.status in _GOOD:
            return Verdict(DeliveryState.DELIVERED, 0, one, answered=True)
        if receipt is not None and receipt.status == _GONE:
            why = "its receiver answered 410 Gone"
            return Verdict(DeliveryState.FAILED, 0, one, why, answered=True)
        asked_s = None if receipt is None else receipt.retry_after_s
        now_ms = self._clock.now_ms()
        next_ms = next_try_ms(claim.tries + 1, now_ms, asked_s, self._random)
        if next_ms is None or is_stale(claim.event, claim.created_ms, next_ms):
            return Verdict(DeliveryState.FAILED, 0, one)
        return Verdict(DeliveryState.WAITING, next_ms, one)


def live(secrets: Sequence[HookSecret], now_ms: int) -> list[str]:
    """Lists the secrets that hold now."""
    return [one.text for one in secrets if not one.until_ms or one.until_ms > now_ms]
