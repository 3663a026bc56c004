"""The contract of what brings attempts to servers: ``carriers`` has one for each transport."""

from collections.abc import Callable
from typing import Protocol

from inferry.server.fleet.lease import AttemptKey
from inferry.server.task.record import Attempt, TaskRecord


class Carrier(Protocol):
    """Brings attempts to their servers, and has them stopped. Whose slots these are, is not its."""

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Brings the open attempt of a task to its server."""
        ...

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Lets go of an attempt that has ended: nobody waits for its answer."""
        ...

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        """Has the server stop its work on an attempt that has ended.

        Args:
            task_id: The task.
            closed: The attempt.
            stopped: To be called once, when the server has stopped or that cannot be known.
        """
        ...

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop."""
        ...

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:
        """Whether word of an attempt may come in though its server cannot call the gateway anew."""
        ...

    def adopt(self, record: TaskRecord) -> None:
        """Takes up an attempt that a server has, which another gateway brought there.

        Doing so twice does no harm.
        """
        ...

    def carries(self, task_id: str, attempt: int) -> bool:
        """Whether there is something of an attempt that ``drop`` would let go of."""
        ...


class NoCarrier:
    """Brings nothing anywhere: while a gateway starts or stops, tasks wait."""

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Leaves the attempt to the next start."""

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Has nothing to let go of."""

    def stop(
        self,
        task_id: str,  # noqa: ARG002  # the contract has it
        closed: Attempt,  # noqa: ARG002  # likewise
        stopped: Callable[[], None],
    ) -> None:
        """Can tell no server."""
        stopped()

    def confirm(self, task_id: str, attempt: int) -> None:
        """Waits for nobody."""

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:  # noqa: ARG002  # likewise
        """Hears of nothing."""
        return False

    def adopt(self, record: TaskRecord) -> None:
        """Leaves it to the next start."""

    def carries(self, task_id: str, attempt: int) -> bool:  # noqa: ARG002  # likewise
        """Has nothing."""
        return False
