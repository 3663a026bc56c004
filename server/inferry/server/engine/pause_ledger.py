"""Keeps the paused types in memory in step with those on disk, as ``ledger`` does for tasks."""

from inferry.server.engine.allocator import Allocator
from inferry.server.engine.reads import Reads
from inferry.server.errors import InferryError
from inferry.server.queue.pauses import PausedTypes
from inferry.server.task.pause import PausedType


class PauseLedger:
    """What follows from commits about pauses.

    Args:
        pauses: The types that are held back.
        allocator: Is told when it should look.
    """

    def __init__(self, pauses: PausedTypes, allocator: Allocator) -> None:
        #: Reads of the list of pauses, which what is in memory is to follow.
        self.reads = Reads()
        self._pauses = pauses
        self._allocator = allocator

    def pause(self, paused: PausedType) -> PausedType | None:
        """Holds the tasks of a type back from now on; returns the pause that this replaces."""
        self.reads.note(paused.type)
        return self._pauses.pause(paused)

    def paused(
        self, result: InferryError | None, paused: PausedType, before: PausedType | None
    ) -> None:
        """A type was paused; what is not on disk is taken back."""
        self.reads.note(paused.type)
        if result is not None:
            self._pauses.take_back(paused, before)
            self._allocator.wake()

    def resumed(self, result: InferryError | None, task_type: str) -> None:
        """A pause was ended."""
        self.reads.note(task_type)
        if result is None:
            self._pauses.resume(task_type)
            self._allocator.wake()
