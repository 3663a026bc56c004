"""The figures that ``/metrics`` tells: every name with what it means, its unit and its labels.

Names are Prometheus': base units, ``_total`` after what only grows. Those of HTTP and gRPC are
OpenTelemetry's, as Prometheus writes them. The dashboard, the alerts and docs/monitoring.md are
checked against this list.
"""

from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """What a figure is, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Figure(NamedTuple):
    """One family of series."""

    #: Without what its kind adds: ``_total``, ``_bucket``, ``_info``.
    name: str
    kind: Kind
    #: One sentence for a person.
    help: str
    labels: tuple[str, ...] = ()
    #: ``seconds`` or ``bytes``, which the name ends with; empty for what is counted.
    unit: str = ""
    #: Of a histogram: what its buckets hold at most; there is one more for the rest.
    bounds: tuple[float, ...] = ()

    @property
    def series(self) -> str:
        """Its name as a query has it; a histogram's ``_bucket``, ``_sum`` and ``_count`` follow."""
        return self.name + {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")


#: What stands for a label's values that are not known, or are too many.
OTHER: Final = "other"

_CALL_BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    *(60, 300, 1_800, 3_600),
)
#: From a millisecond to a day.
_TASK_BOUNDS: Final = (
    *_CALL_BOUNDS[:-3],
    120,
    300,
    600,
    1_800,
    3_600,
    7_200,
    14_400,
    43_200,
    86_400,
)
_COMMIT_BOUNDS: Final = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def _counter(name: str, text: str, *labels: str, unit: str = "") -> Figure:
    return Figure(name, Kind.COUNTER, text, labels, unit)


def _gauge(name: str, text: str, *labels: str, unit: str = "") -> Figure:
    return Figure(name, Kind.GAUGE, text, labels, unit)


def _seconds(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Figure:
    return Figure(name, Kind.HISTOGRAM, text, labels, "seconds", bounds)


# Tasks: what this replica wrote down.
TASKS_CREATED = _counter("inferry_tasks_created", "Tasks that were created.", "type")
TASKS_RETRIED = _counter("inferry_tasks_retried", "Final tasks that were started again.", "type")
TASKS_FINISHED = _counter("inferry_tasks_finished", "Tasks that ended.", "type", "status")
TASK_WAIT = _seconds(
    "inferry_task_wait_seconds",
    "From when a task waits for its turn until a server has it.",
    _TASK_BOUNDS,
    "type",
)
TASK_RUN = _seconds(
    "inferry_task_run_seconds",
    "From when a server has a task until that attempt has ended.",
    _TASK_BOUNDS,
    "type",
)
ATTEMPTS = _counter(
    "inferry_attempts",
    "Attempts that ended, by how tasks reach the server.",
    "transport",
    "outcome",
)
DISPATCH = _seconds(
    "inferry_dispatch_seconds",
    "From when a server has a task until it says that it took it.",
    _CALL_BOUNDS,
    "transport",
)
STALE_REPORTS = _counter(
    "inferry_stale_reports", "Reports that were refused: their attempt had ended."
)
LEASES_LOST = _counter(
    "inferry_leases_lost", "Attempts that ended because their server was gone.", "transport"
)
TENANT_TASKS_CREATED = _counter(
    "inferry_tenant_tasks_created", "Tasks that tenants of metrics_tenants created.", "tenant"
)
TENANT_TASKS_FINISHED = _counter(
    "inferry_tenant_tasks_finished", "Tasks of these tenants that ended.", "tenant", "status"
)

# The shared state: one replica at a time tells it, so that a sum over all of them is true.
TASKS_WAITING = _gauge(
    "inferry_tasks_waiting", "Tasks that wait for a server and whose time has come.", "type"
)
TASKS_DELAYED = _gauge(
    "inferry_tasks_delayed", "Tasks that wait and whose time has not come.", "type"
)
TASKS_RUNNING = _gauge("inferry_tasks_running", "Tasks that a server has.", "type")
OLDEST_WAIT = _gauge(
    "inferry_oldest_wait_seconds",
    "For how long the task has waited that has waited longest.",
    "type",
    unit="seconds",
)
TYPE_PAUSED = _gauge("inferry_type_paused", "Whether tasks of a type are held back.", "type")
QUEUE_LIMIT = _gauge("inferry_queue_limit", "Tasks that may wait.")
WEBHOOK_LAG = _gauge(
    "inferry_webhook_lag_seconds",
    "For how long the delivery is due that should have been sent first.",
    unit="seconds",
)
WEBHOOKS_DISABLED = _gauge(
    "inferry_webhooks_disabled", "Webhooks that are disabled: they hear of nothing any more."
)
STORE_BYTES = _gauge("inferry_store_bytes", "What the store takes up.", unit="bytes")

# Servers: those that this replica gives tasks to.
SERVER_UP = _gauge(
    "inferry_server_up", "Servers of this name that are not offline: 1, or 0.", "server"
)
SERVER_SLOTS = _gauge("inferry_server_slots", "Tasks that a server takes at once.", "server")
SERVER_SLOTS_USED = _gauge("inferry_server_slots_used", "Slots that are taken.", "server")
SERVER_BREAKER_OPEN = _gauge(
    "inferry_server_breaker_open", "Servers of this name whose breaker is open.", "server"
)
WORKER_LAG = _gauge(
    "inferry_worker_lag_seconds",
    "How far the loop of a worker's handlers lags, by its own word.",
    "server",
    unit="seconds",
)
WORKER_IDLE = _counter(
    "inferry_worker_idle_seconds",
    "For how long a worker had nothing to do while work waited that it could have done.",
    "server",
    unit="seconds",
)

# This replica.
READY = _gauge("inferry_ready", "Whether the gateway can do its work.")
COMMIT = _seconds(
    "inferry_commit_seconds", "What a transaction took, its write to disk included.", _COMMIT_BOUNDS
)
COMMIT_OPERATIONS = Figure(
    "inferry_commit_operations",
    Kind.HISTOGRAM,
    "Operations in a transaction.",
    (),
    "",
    _BATCH_BOUNDS,
)
STREAMS = _gauge("inferry_streams", "Calls with a stream of answers that are open.", "rpc_method")
WEBHOOK_DELIVERIES = _counter(
    "inferry_webhook_deliveries", "Tries to tell a receiver of an event.", "outcome"
)
#: Its values of ``outcome``: it arrived; it did not and is tried again, or is given up; and the
#: receiver wants to hear of nothing any more.
WEBHOOK_OUTCOMES: Final = ("delivered", "retried", "failed", "disabled")
BUILD = Figure("inferry_build", Kind.INFO, "What runs here.", ("version", "store"))

# Calls, by OpenTelemetry's names.
RPC_DURATION = _seconds(
    "rpc_server_call_duration_seconds",
    "Calls over gRPC, to their end.",
    _CALL_BOUNDS,
    *("rpc_system_name", "rpc_method", "rpc_response_status_code"),
)
HTTP_DURATION = _seconds(
    "http_server_request_duration_seconds",
    "Requests over REST, to the end of the answer.",
    _CALL_BOUNDS,
    *("http_request_method", "http_route", "http_response_status_code"),
)

#: All of them, in the order in which they are told.
FIGURES: Final[tuple[Figure, ...]] = tuple(
    figure for figure in list(globals().values()) if isinstance(figure, Figure)
)
