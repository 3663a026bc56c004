"""What REST has besides the descriptors and their ``google.api.http`` annotations.

Where JSON differs from canonical proto3 JSON is in ``inferry.wire.rules``.
"""

from collections.abc import Mapping

#: Messages that backends send. They may say more than is known here.
LENIENT_MESSAGES = frozenset({"inferry.v1.TaskUpdate"})

#: Kinds of events that have no number of their own: a client goes on after the event before.
UNNUMBERED_EVENTS = frozenset({"QUEUED"})

#: The RPC that watches many tasks: what its clients go on after is a cursor, no number.
MANY_RPC = "inferry.v1.TaskService.WatchTasks"

#: The RPC that watches one task, and the parameter that goes for a token there, for pages of any
#: origin: an EventSource sends no header.
WATCH_RPC = "inferry.v1.TaskService.WatchTask"
TICKET = "ticket"

#: Parameters in which polyfills of EventSource say what browsers say in ``Last-Event-ID``.
LAST_EVENT_PARAMETERS = (
    "lastEventId",
    "last_event_id",
    "Last-Event-ID",
    "Last-Event-Id",
    "last-event-id",
    "evs_last_event_id",
)
#: What else they add to a URL.
POLYFILL_PARAMETERS = ("evs_preamble", "r")

#: The RPC that tells whether another may be called.
ACCESS_RPC = "inferry.v1.AccessService.CheckAccess"

#: The RPC that changes a code for a token: anybody may call it, with a small body.
EXCHANGE_RPC = "inferry.v1.AccessService.ExchangeCode"
EXCHANGE_BYTES = 4_096

#: The RPCs that anybody may call.
OPEN_RPCS = frozenset({EXCHANGE_RPC, "inferry.v1.AccessService.GetJwks"})

#: The RPC whose answer depends on whether its caller waits.
CREATE_RPC = "inferry.v1.TaskService.CreateTask"

#: The RPC that creates many tasks, and may be larger than the requests to create one.
BATCH_RPC = "inferry.v1.TaskService.BatchCreateTasks"

#: The header that names a creation, and the one that tells that its name was known.
KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"

#: The RPC that a ``Prefer: wait=N`` on a creation waits with.
READ_RPC = "inferry.v1.TaskService.GetTask"

#: The RPC that takes results, which may be larger than any other request.
CALLBACK_RPC = "inferry.v1.TaskService.UpdateTask"

#: What RPCs may be refused with besides what all may: the HTTP status, and the codes that it has.
REFUSALS: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    CREATE_RPC: {
        410: ("GONE",),
        422: ("REQUEST_ID_REUSED",),
        429: ("RESOURCE_LIMIT",),
    },
    READ_RPC: {410: ("GONE",)},
    CALLBACK_RPC: {409: ("ILLEGAL_TRANSITION", "STALE_ATTEMPT"), 410: ("GONE",)},
    WATCH_RPC: {410: ("GONE",)},
    "inferry.v1.TaskService.CreateStreamUrl": {410: ("GONE",)},
    "inferry.v1.TaskService.CancelTask": {409: ("ILLEGAL_TRANSITION",), 410: ("GONE",)},
    "inferry.v1.TaskService.RetryTask": {
        409: ("ILLEGAL_TRANSITION",),
        410: ("GONE",),
        429: ("RESOURCE_LIMIT",),
    },
    "inferry.v1.TaskService.ExplainTask": {410: ("GONE",)},
    "inferry.v1.TaskService.ListAttempts": {410: ("GONE",)},
    "inferry.v1.WebhookService.CreateWebhook": {429: ("RESOURCE_LIMIT",)},
    "inferry.v1.WebhookService.ListDeliveries": {410: ("GONE",)},
    "inferry.v1.AccessService.CreateCode": {
        409: ("NO_OWN_TOKENS",),
        429: ("TOO_MANY_REQUESTS",),
    },
    EXCHANGE_RPC: {409: ("NO_OWN_TOKENS",), 429: ("TOO_MANY_REQUESTS",)},
}

#: Where the answer to an RPC leads: RPCs that take its id.
LINKS: Mapping[str, tuple[str, ...]] = {
    CREATE_RPC: (
        "GetTask",
        "CancelTask",
        "CancelTaskPost",
        "RetryTask",
        "WatchTask",
        "CreateStreamUrl",
        "ExplainTask",
        "ListAttempts",
        "ListDeliveries",
    ),
    "inferry.v1.ServerService.RegisterServer": (
        "GetServer",
        "Heartbeat",
        "DrainServer",
        "ResumeServer",
        "DeregisterServer",
    ),
    "inferry.v1.WebhookService.CreateWebhook": (
        "GetWebhook",
        "UpdateWebhook",
        "DeleteWebhook",
        "RotateWebhookSecret",
        "PingWebhook",
        "ReplayWebhook",
    ),
}
