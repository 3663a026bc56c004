"""A loop on a thread of its own: what runs elsewhere cannot hold it up."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class LoopThread:
    """Runs a loop from ``start`` to ``stop``.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Runs a coroutine there, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        """Ends the loop and what still runs on it; returns at once."""
        self.loop.call_soon_threadsafe(self._end)

    def join(self, within_s: float) -> None:
        """Waits for the end of the thread; one that does not end is left behind."""
        self._thread.join(within_s)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while not self._stopped:
                self._run_on()
            self._cancel_all()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def _run_on(self) -> None:
        """Runs the loop until it is stopped, or something on it raised what ends a program."""
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            # It came from a task that somebody's handler started: the loop is there for all others.
            _log.error(
                "%s was raised on %s", type(error).__name__, self._thread.name, exc_info=True
            )

    def _end(self) -> None:
        self._stopped = True
        self.loop.stop()

    def _cancel_all(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
