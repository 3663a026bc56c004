"""What stands where the carriers are, in tests of what hands attempts to them."""

from collections.abc import Callable

from inferry.server.fleet.lease import AttemptKey
from inferry.server.task.record import Attempt, TaskRecord


class IdlePorter:
    """Is not called at all; a test says otherwise for what it expects."""

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        raise AssertionError("nothing is carried")

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        raise AssertionError("nothing is dropped")

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        raise AssertionError("nothing is stopped")

    def confirm(self, task_id: str, attempt: int) -> None:
        raise AssertionError("nothing is confirmed")

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:
        raise AssertionError("nobody asks what is heard of")

    def adopt(self, record: TaskRecord) -> None:
        raise AssertionError("nothing is adopted")

    def carries(self, task_id: str, attempt: int) -> bool:
        raise AssertionError("nobody asks what is carried")
