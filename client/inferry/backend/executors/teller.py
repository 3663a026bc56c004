"""Tells a child's parent how far the work is: at once, and after a pause if there is more."""

import threading
from collections.abc import Callable

from inferry.backend.context import Latest

#: Between two words: the parent passes fewer on.
_PAUSE_S = 0.05


class Teller:
    """Tells of one attempt after the other, on a thread of its own once there is something.

    Args:
        send: Takes ``"said"`` and what was said; must be safe in any thread.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        #: What the handler says.
        self.latest = Latest(self._wake)
        self._send = send
        self._changed = threading.Condition()
        self._awake = False
        self._ended = True
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """An attempt begins."""
        with self._changed:
            self._ended = False

    def end(self) -> None:
        """An attempt has ended: tells what is left; nothing follows."""
        with self._changed:
            self._tell()
            self._ended = True

    def _wake(self) -> None:
        with self._changed:
            self._awake = True
            self._changed.notify()
            if self._thread is None:
                # Most work is short and says nothing: it needs no thread.
                self._thread = threading.Thread(target=self._live, daemon=True)
                self._thread.start()

    def _live(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._awake)
                self._awake = False
                if not self._ended:
                    self._tell()
            # Whoever wakes it meanwhile waits for nothing.
            threading.Event().wait(_PAUSE_S)

    def _tell(self) -> None:
        said = self.latest.take()
        if said is not None:
            self._send("said", said)
