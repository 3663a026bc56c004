"""Who may call what: one table, and what is not in it nobody may (design section 8)."""

from collections.abc import Mapping
from enum import Enum, auto

from inferry.server.access.tokens import Role


class Right(Enum):
    """Rights that come from something else than a role."""

    #: The callback token inside the request, which the servicer verifies.
    CALLBACK = auto()
    #: The ticket of a stream URL inside the request, which the servicer verifies.
    TICKET = auto()
    #: None is needed: the servicer tells whoever asks of nobody but themselves, or by a code.
    ANYBODY = auto()


_CLIENT = frozenset({Role.ADMIN, Role.CLIENT})
_BACKEND = frozenset({Role.ADMIN, Role.BACKEND})
_KNOWN = _CLIENT | _BACKEND
_OPERATOR = frozenset({Role.ADMIN})
_REPORT = _BACKEND | {Right.CALLBACK}
_WATCH = _CLIENT | {Right.TICKET}

#: Full method name, as it travels -> who may call it.
Permissions = Mapping[str, frozenset[Role | Right]]

PERMISSIONS: Permissions = {
    "/inferry.v1.TaskService/CreateTask": _CLIENT,
    "/inferry.v1.TaskService/BatchCreateTasks": _CLIENT,
    "/inferry.v1.TaskService/GetTask": _CLIENT,
    "/inferry.v1.TaskService/ListTasks": _CLIENT,
    "/inferry.v1.TaskService/CountTasks": _CLIENT,
    "/inferry.v1.TaskService/WatchTask": _WATCH,
    "/inferry.v1.TaskService/WatchTasks": _CLIENT,
    "/inferry.v1.TaskService/FollowTasks": _CLIENT,
    "/inferry.v1.TaskService/UpdateTask": _REPORT,
    "/inferry.v1.TaskService/ReportTask": _REPORT,
    "/inferry.v1.TaskService/CancelTask": _CLIENT,
    "/inferry.v1.TaskService/CancelTasks": _CLIENT,
    "/inferry.v1.TaskService/RetryTask": _CLIENT,
    "/inferry.v1.TaskService/RetryTasks": _CLIENT,
    "/inferry.v1.TaskService/PurgeTasks": _CLIENT,
    "/inferry.v1.TaskService/ExplainTask": _CLIENT,
    "/inferry.v1.TaskService/ListAttempts": _CLIENT,
    "/inferry.v1.TaskService/CreateStreamUrl": _CLIENT,
    "/inferry.v1.ServerService/RegisterServer": _BACKEND,
    "/inferry.v1.ServerService/ListServers": _KNOWN,
    "/inferry.v1.ServerService/GetServer": _KNOWN,
    "/inferry.v1.ServerService/Heartbeat": _BACKEND,
    "/inferry.v1.ServerService/DrainServer": _BACKEND,
    "/inferry.v1.ServerService/ResumeServer": _BACKEND,
    "/inferry.v1.ServerService/DeregisterServer": _BACKEND,
    "/inferry.v1.WorkerService/Connect": _BACKEND,
    "/inferry.v1.QueueService/GetQueue": _OPERATOR,
    "/inferry.v1.QueueService/PauseType": _OPERATOR,
    "/inferry.v1.QueueService/ResumeType": _OPERATOR,
    "/inferry.v1.MetricsService/GetMetrics": _OPERATOR,
    "/inferry.v1.StatsService/GetStats": _OPERATOR,
    "/inferry.v1.StatsService/ListFailures": _OPERATOR,
    "/inferry.v1.WebhookService/CreateWebhook": _CLIENT,
    "/inferry.v1.WebhookService/ListWebhooks": _CLIENT,
    "/inferry.v1.WebhookService/GetWebhook": _CLIENT,
    "/inferry.v1.WebhookService/UpdateWebhook": _CLIENT,
    "/inferry.v1.WebhookService/DeleteWebhook": _CLIENT,
    "/inferry.v1.WebhookService/RotateWebhookSecret": _CLIENT,
    "/inferry.v1.WebhookService/PingWebhook": _CLIENT,
    "/inferry.v1.WebhookService/ReplayWebhook": _CLIENT,
    "/inferry.v1.WebhookService/ListDeliveries": _CLIENT,
    "/inferry.v1.WebhookService/Redeliver": _CLIENT,
    "/inferry.v1.WebhookService/GetWebhookKey": _CLIENT,
    "/inferry.v1.AccessService/CheckAccess": frozenset({Right.ANYBODY}),
    "/inferry.v1.AccessService/WhoAmI": _KNOWN,
    "/inferry.v1.AccessService/CreateCode": _CLIENT,
    "/inferry.v1.AccessService/ExchangeCode": frozenset({Right.ANYBODY}),
    "/inferry.v1.AccessService/GetJwks": frozenset({Right.ANYBODY}),
}

METRICS = "/inferry.v1.MetricsService/GetMetrics"


def permissions(*, metrics_open: bool) -> Permissions:
    """Gives the table as the settings have it: figures may be for anybody."""
    anybody = {METRICS: frozenset({Right.ANYBODY})} if metrics_open else {}
    return {**PERMISSIONS, **anybody}


#: Services that anybody may call: they tell nothing of tasks, and probes have no tokens.
OPEN_SERVICES = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)


def is_open(method: str) -> bool:
    """Whether anybody may call a method, unseen by all that calls go through."""
    return method.split("/")[1] in OPEN_SERVICES
