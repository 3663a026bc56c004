"""Counts how the tries of deliveries go."""

from inferry.server.task.hook import Claim, DeliveryState
from inferry.server.telemetry.meters import Meters
from inferry.server.webhooks.delivering import Verdict
from inferry.wire.figures import WEBHOOK_OUTCOMES

_DELIVERED, _RETRIED, _FAILED, _DISABLED = WEBHOOK_OUTCOMES
_OUTCOMES = {
    DeliveryState.DELIVERED: (_DELIVERED,),
    DeliveryState.WAITING: (_RETRIED,),
    DeliveryState.FAILED: (_FAILED,),
}


class Counting:
    """Hears of each try; its series are there from the start.

    Args:
        meters: What it counts with.
    """

    def __init__(self, meters: Meters) -> None:
        self._deliveries = meters.webhook_deliveries
        for outcome in WEBHOOK_OUTCOMES:
            self._deliveries.add((outcome,), 0)

    def __call__(self, _claim: Claim, verdict: Verdict) -> None:
        """Counts a try."""
        self._deliveries.add((_DISABLED,) if verdict.disable else _OUTCOMES[verdict.state])
