"""What the exit status of a command says."""

from collections.abc import Mapping
from enum import IntEnum

from inferry.v1.task_pb2 import Task


class ExitCode(IntEnum):
    """The exit statuses; scripts may rely on them."""

    #: It was done; the task completed where the command waited for its end.
    DONE = 0
    #: The task FAILED, or a server could not start.
    FAILED = 1
    #: The command line or a setting is wrong.
    USAGE = 2
    #: The task ended as TIMEOUT or CANCELLED.
    STOPPED = 3
    #: The gateway cannot be reached, or cannot answer now.
    UNREACHABLE = 4
    #: The gateway refused: the token, the id, the task's state or the request.
    REFUSED = 5


_BY_STATUS: Mapping[Task.Status.ValueType, ExitCode] = {
    Task.FAILED: ExitCode.FAILED,
    Task.TIMEOUT: ExitCode.STOPPED,
    Task.CANCELLED: ExitCode.STOPPED,
}


def of_task(task: Task) -> ExitCode:
    """Gives the exit status for a task; one that is not final yet is no failure."""
    return _BY_STATUS.get(task.status, ExitCode.DONE)
