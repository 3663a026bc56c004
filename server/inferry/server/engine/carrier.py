"""The contract of what brings attempts to servers: ``carriers`` has one for each transport."""

from typing import Protocol

from inferry.server.task.record import Attempt, TaskRecord


class Carrier(Protocol):
    """Brings attempts to their servers."""

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Brings the open attempt of a task to its server."""
        ...

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Lets go of an attempt that has ended; gives its slot back if the task was stopped."""
        ...

    def stop(self, task_id: str, closed: Attempt) -> None:
        """Stops an attempt that ended before the gateway started; then gives its slot back."""
        ...

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop."""
        ...
