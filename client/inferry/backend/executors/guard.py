"""The door of a handler: work can be stopped from outside while it is inside, and only then."""

from collections.abc import Callable
from threading import Event, Lock
from types import TracebackType

from inferry.backend.errors import Cancelled


class Guard:
    """Stands around the call of a handler, in the thread that calls.

    Args:
        cancelled: Set before anybody calls ``interrupt``.
        stop: Has the work stop, such as by raising ``Cancelled`` in its thread.
        take_back: Undoes a ``stop`` that has not arrived, in the thread that calls it.
    """

    def __init__(
        self,
        cancelled: Event,
        stop: Callable[[], object],
        take_back: Callable[[], object] = lambda: None,
    ) -> None:
        self._cancelled = cancelled
        self._stop = stop
        self._take_back = take_back
        #: Who holds it knows whether the work is inside.
        self._lock = Lock()
        self._inside = False

    def interrupt(self) -> None:
        """Stops the work if it is inside; once."""
        with self._lock:
            if self._inside:
                self._inside = False
                self._stop()

    def __enter__(self) -> None:
        """Goes in.

        Raises:
            Cancelled: Nobody wants the work any more.
        """
        with self._lock:
            if self._cancelled.is_set():
                raise Cancelled
            self._inside = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Goes out: what was raised from outside arrives in here at the latest, or never."""
        while True:
            try:
                with self._lock:
                    self._inside = False
                    self._take_back()
            except Cancelled:
                continue
            return
