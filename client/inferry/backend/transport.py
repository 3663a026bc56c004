"""What a backend asks of the way that its work comes by."""

from typing import Protocol

from inferry.backend.attempt import AttemptKey, Report


class Transport(Protocol):
    """Brings assignments to an engine and carries its reports; all on the transport's loop."""

    async def open(self) -> None:
        """Opens what others reach it by, before the backend is ready.

        Raises:
            OSError: It cannot be opened.
        """

    async def run(self) -> None:
        """Brings work and carries reports until it is cancelled.

        Raises:
            RefusedError: The gateway will not have this backend.
        """

    def report(self, report: Report) -> None:
        """Sends a report.

        A last one stays in the outbox until the transport tells the engine what became of it;
        another one may be overtaken by the next of its attempt.
        """

    def stopped(self, key: AttemptKey) -> None:
        """The work of an attempt has stopped that was cancelled."""

    def changed(self) -> None:
        """Slots, readiness or drain have changed: look again."""

    async def leave(self) -> None:
        """Tells the gateway that this backend takes no more work; does not insist."""

    async def close(self) -> None:
        """Takes leave for good: what was to be said has been said."""
