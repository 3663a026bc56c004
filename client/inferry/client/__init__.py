"""The client: runs tasks on an Inferry gateway, from threads or from coroutines.

``Client`` is for threads, ``AsyncClient`` for coroutines; they do the same.
"""

from inferry.client.aio.client import AsyncClient
from inferry.client.aio.function import AsyncFunction
from inferry.client.aio.task import AsyncTask
from inferry.client.errors import (
    Conflict,
    Forbidden,
    Gone,
    InferryError,
    InvalidRequest,
    NotFound,
    QueueFull,
    TaskCancelled,
    TaskFailed,
    TaskTimedOut,
    Unavailable,
    WaitTimedOut,
)
from inferry.client.fleet_records import Load, Queue, Server, TypeQueue
from inferry.client.records import (
    Attempt,
    Changes,
    Count,
    Explanation,
    ServerVerdict,
    Status,
    StreamUrl,
    TaskEvent,
    TaskState,
)
from inferry.client.requests import Filters, Options, Webhook
from inferry.client.sync.client import Client
from inferry.client.sync.function import Function
from inferry.client.sync.task import Task

__all__ = [
    "AsyncClient",
    "AsyncFunction",
    "AsyncTask",
    "Attempt",
    "Changes",
    "Client",
    "Conflict",
    "Count",
    "Explanation",
    "Filters",
    "Forbidden",
    "Function",
    "Gone",
    "InferryError",
    "InvalidRequest",
    "Load",
    "NotFound",
    "Options",
    "Queue",
    "QueueFull",
    "Server",
    "ServerVerdict",
    "Status",
    "StreamUrl",
    "Task",
    "TaskCancelled",
    "TaskEvent",
    "TaskFailed",
    "TaskState",
    "TaskTimedOut",
    "TypeQueue",
    "Unavailable",
    "WaitTimedOut",
    "Webhook",
]
