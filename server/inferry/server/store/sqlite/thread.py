"""Where the store waits for the disk, so that the event loop does not."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class WriterThread:
    """One thread beside the event loop's, which has its work before its start and after its stop.

    Args:
        executor: Runs all in its place; then nothing is started or stopped.
    """

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor
        self._thread: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Starts it, unless it is there."""
        if self._executor is None:
            self._executor = self._thread = ThreadPoolExecutor(1, "inferry-store")

    def stop(self) -> None:
        """Ends it, once what it runs has ended."""
        if self._thread is not None:
            self._thread.shutdown()
            self._executor = self._thread = None

    async def run(self, work: Callable[[], T]) -> T:
        """Runs what waits for the disk, and waits until it has ended."""
        if self._executor is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
