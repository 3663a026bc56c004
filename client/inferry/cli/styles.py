"""States in their colours: green is well, cyan runs, yellow waits, red needs somebody."""

from collections.abc import Mapping

from rich.text import Text

from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import Attempt, Task
from inferry.v1.webhook_pb2 import Delivery

_BAD = "red"
_TASKS: Mapping[Task.Status.ValueType, str] = {
    Task.PENDING: "yellow",
    Task.PROCESSING: "cyan",
    Task.COMPLETED: "green",
    Task.CANCELLED: "dim",
}
_ATTEMPTS: Mapping[Attempt.Outcome.ValueType, str] = {
    Attempt.RUNNING: "cyan",
    Attempt.SUCCEEDED: "green",
    Attempt.REFUSED: "yellow",
    Attempt.ABORTED: "dim",
}
_SERVERS: Mapping[Server.Status.ValueType, str] = {
    Server.ACTIVE: "green",
    Server.DEGRADED: "yellow",
    Server.RESTING: "yellow",
}
_DELIVERIES: Mapping[Delivery.State.ValueType, str] = {
    Delivery.DELIVERED: "green",
    Delivery.WAITING: "yellow",
}


def task_status(status: Task.Status.ValueType) -> Text:
    """Gives where a task stands."""
    return Text(Task.Status.Name(status), _TASKS.get(status, _BAD))


def outcome(of: Attempt.Outcome.ValueType) -> Text:
    """Gives how an attempt ended."""
    return Text(Attempt.Outcome.Name(of), _ATTEMPTS.get(of, _BAD))


def server_status(status: Server.Status.ValueType, more: str = "") -> Text:
    """Gives whether a server gets tasks, and what else is to be said of that."""
    word = Server.Status.Name(status).lower()
    return Text(f"{word}{more}", _SERVERS.get(status, _BAD))


def delivery_state(state: Delivery.State.ValueType) -> Text:
    """Gives what became of a delivery."""
    return Text(Delivery.State.Name(state), _DELIVERIES.get(state, _BAD))
