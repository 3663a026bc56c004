"""The types whose tasks are held back. Pure."""

from collections.abc import Iterator

from inferry.server.task.pause import PausedType


class PausedTypes:
    """All pauses, by the name of the type."""

    def __init__(self) -> None:
        self._pauses: dict[str, PausedType] = {}

    def __contains__(self, task_type: str) -> bool:
        return task_type in self._pauses

    def __iter__(self) -> Iterator[str]:
        return iter(self._pauses)

    def get(self, task_type: str) -> PausedType | None:
        """Tells why and since when a type is paused; None if it is not."""
        return self._pauses.get(task_type)

    def pause(self, paused: PausedType) -> PausedType | None:
        """Holds the tasks of a type back; returns the pause that this replaces."""
        before = self._pauses.get(paused.type)
        self._pauses[paused.type] = paused
        return before

    def take_back(self, paused: PausedType, before: PausedType | None) -> None:
        """Puts back what a pause replaced, unless another one has come since."""
        if self._pauses.get(paused.type) is not paused:
            return
        if before is None:
            del self._pauses[paused.type]
        else:
            self._pauses[paused.type] = before

    def resume(self, task_type: str) -> None:
        """Ends a pause; no error if there is none."""
        self._pauses.pop(task_type, None)
