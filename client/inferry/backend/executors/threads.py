"""Functions in threads: exactly so many, which are nobody else's."""

import asyncio
import ctypes
import threading
from functools import partial
from queue import SimpleQueue

from inferry.backend import words
from inferry.backend.attempt import AttemptKey
from inferry.backend.errors import Cancelled
from inferry.backend.executors import Job
from inferry.backend.executors.guard import Guard
from inferry.backend.work import run_coroutine, run_function
from inferry.v1.task_pb2 import TaskUpdate

#: Ends a thread.
_NO_MORE = None


class ThreadExecutor:
    """Runs jobs in threads of its own.

    They are daemons: work that ignores its cancel keeps its thread and its slot, and does not keep
    the process from ending.

    Args:
        count: Threads, each with one job at a time.
        name: Of the threads.
    """

    missing = 0

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._guards: dict[AttemptKey, Guard] = {}
        self._threads = [
            threading.Thread(target=self._live, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    async def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def run(self, job: Job) -> None:
        """Gives a job to the next free thread."""
        self._jobs.put(job)

    def cancel(self, key: AttemptKey) -> None:
        """Interrupts a job if it may be; its flag is set already."""
        guard = self._guards.get(key)
        if guard is not None:
            guard.interrupt()

    async def close(self) -> None:
        """Lets the threads end that are free."""
        for _ in self._threads:
            self._jobs.put(_NO_MORE)

    def _live(self) -> None:
        with asyncio.Runner() as runner:
            while (job := self._jobs.get()) is not _NO_MORE:
                try:
                    update = self._work(job, runner)
                except BaseException as error:  # noqa: BLE001 - of a task that a handler started
                    update = words.raised(error)
                self._guards.pop(job.key, None)
                job.done(update)

    def _work(self, job: Job, runner: asyncio.Runner) -> TaskUpdate | None:
        if job.handler.is_async:
            return runner.run(self._run_coroutine(job))
        if job.handler.interrupt:
            guard = Guard(job.cancelled, partial(_raise_in, threading.get_ident()), _take_back)
        else:
            guard = Guard(job.cancelled, lambda: None)
        self._guards[job.key] = guard
        return run_function(job, guard)

    async def _run_coroutine(self, job: Job) -> TaskUpdate | None:
        task = asyncio.ensure_future(run_coroutine(job))
        stop = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        guard = self._guards[job.key] = Guard(job.cancelled, stop)
        try:
            with guard:
                await asyncio.wait({task})
        except Cancelled:
            task.cancel()
            await asyncio.wait({task})
        return None if task.cancelled() else task.result()


def _raise_in(ident: int) -> None:
    """Raises ``Cancelled`` in a thread, at its next step in Python."""
    _set(ident, ctypes.py_object(Cancelled))


def _take_back() -> None:
    """Takes back what was raised in the thread that calls this, and has not arrived."""
    _set(threading.get_ident(), None)


def _set(ident: int, what: "ctypes.py_object[type[Cancelled]] | None") -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), what)
