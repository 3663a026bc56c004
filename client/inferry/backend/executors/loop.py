"""Coroutines on the handlers' loop."""

import asyncio

from inferry.backend import words
from inferry.backend.attempt import AttemptKey
from inferry.backend.executors import Job
from inferry.backend.mailbox import Mailbox
from inferry.backend.work import run_coroutine
from inferry.v1.task_pb2 import TaskUpdate


class LoopExecutor:
    """Runs jobs as tasks of a loop.

    Args:
        loop: The handlers' loop, which runs on another thread.
    """

    missing = 0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._starts = Mailbox(loop, self._start)
        self._cancels = Mailbox(loop, self._stop)
        self._tasks: dict[AttemptKey, asyncio.Task[TaskUpdate | None]] = {}

    async def start(self) -> None:
        """Is ready at once."""

    def run(self, job: Job) -> None:
        """Starts a job."""
        self._starts.put(job)

    def cancel(self, key: AttemptKey) -> None:
        """Raises ``CancelledError`` in a job."""
        self._cancels.put(key)

    async def close(self) -> None:
        """Leaves what still runs to the end of the loop."""

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(run_coroutine(job), name=job.assignment.task_id)
        self._tasks[job.key] = task
        # Not at the end of the coroutine: one that is cancelled before it began never gets there.
        task.add_done_callback(lambda _: self._end(job, task))

    def _stop(self, key: AttemptKey) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()

    def _end(self, job: Job, task: asyncio.Task[TaskUpdate | None]) -> None:
        del self._tasks[job.key]
        if not task.cancelled():
            job.done(task.result())
        else:
            job.done(None if job.cancelled.is_set() else words.interrupted())
