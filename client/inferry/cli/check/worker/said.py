"""What a worker said on a stream."""

from inferry.backend.attempt import FINAL, AttemptKey
from inferry.backend.testing.streams import Connection
from inferry.v1.worker_pb2 import WorkerHeartbeat, WorkerReport


def reports_of(connection: Connection, key: AttemptKey) -> list[WorkerReport]:
    """Lists what was reported of an attempt on a stream."""
    return [
        report
        for message in connection.messages
        for report in message.reports
        if (report.attempt.task_id, report.attempt.attempt) == key
    ]


def finals_of(connection: Connection, key: AttemptKey) -> list[WorkerReport]:
    """Lists the final reports on an attempt on a stream."""
    return [one for one in reports_of(connection, key) if one.update.status in FINAL]


def heartbeats_of(connection: Connection) -> list[WorkerHeartbeat]:
    """Lists the heartbeats on a stream."""
    return [one.heartbeat for one in connection.messages if one.HasField("heartbeat")]
