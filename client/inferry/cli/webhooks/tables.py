"""The tables of webhooks: a line a webhook, a delivery."""

import time
from collections.abc import Sequence

import orjson

from inferry.cli.output import NOTHING, document, moment_of, print_fields, print_rows
from inferry.cli.styles import delivery_state
from inferry.v1.webhook_pb2 import Delivery, Webhook


def print_webhook(hook: Webhook) -> None:
    """Prints all that is known of a webhook, a line a field."""
    fields = document(hook)
    for name in ("events", "types"):
        fields[name] = ", ".join(fields[name])
    if fields["labels"]:
        fields["labels"] = orjson.dumps(fields["labels"]).decode()
    print_fields(fields)


def print_webhooks(hooks: Sequence[Webhook]) -> None:
    """Prints a line a webhook."""
    print_rows(
        ("ID", "URL", "EVENTS", "TYPES", "LABELS", "DISABLED"),
        [
            (
                hook.id,
                hook.url,
                ", ".join(hook.events),
                ", ".join(hook.types) or NOTHING,
                ", ".join(f"{key}={value}" for key, value in sorted(hook.labels.items()))
                or NOTHING,
                hook.disabled_reason or NOTHING,
            )
            for hook in hooks
        ],
        {"URL": 16, "EVENTS": 8, "TYPES": 8, "LABELS": 8},
        last_below=True,
    )


def print_deliveries(deliveries: Sequence[Delivery]) -> None:
    """Prints a line a delivery."""
    now_s = time.time()
    print_rows(
        ("WEBHOOK", "SEQ", "EVENT", "STATE", "TRIES", "NEXT", "LAST ANSWER"),
        [
            (
                one.webhook_id,
                str(one.seq),
                one.event,
                delivery_state(one.state),
                str(one.tries),
                moment_of(one, "next_attempt_at", now_s),
                _last(one),
            )
            for one in deliveries
        ],
        {"EVENT": 8},
        last_below=True,
    )


def _last(one: Delivery) -> str:
    if not one.attempts:
        return NOTHING
    last = one.attempts[-1]
    return f"{last.status_code or ''} {last.answer}".strip() or NOTHING
