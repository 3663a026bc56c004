"""A child process: sets up, then works on one attempt at a time for its parent.

Work runs on the main thread, where signals and most libraries want it. One thread reads what the
parent says, another one tells it the progress. The end of the parent is the end of the child.
"""

import asyncio
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import spawn
from queue import SimpleQueue
from types import FrameType
from typing import Any

from inferry.backend.app import run_setup
from inferry.backend.attempt import AttemptKey
from inferry.backend.errors import Cancelled
from inferry.backend.executors import Job, frames
from inferry.backend.executors.guard import Guard
from inferry.backend.executors.teller import Teller
from inferry.backend.handler import Handler
from inferry.backend.work import run_coroutine, run_function
from inferry.v1.task_pb2 import TaskUpdate

_ORPHANED = 1


class Child:
    """The child's side of the pipe."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._source = pipe.makefile("rb")
        self._write_lock = threading.Lock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._teller = Teller(self.send)
        #: Held while a cancel looks for its job.
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._guard: Guard | None = None
        #: Whether the signal that stops the work has yet to arrive.
        self._signalled = False

    def send(self, *message: Any) -> None:
        """Tells the parent something."""
        frame = frames.pack(message)
        with self._write_lock:
            self._pipe.sendall(frame)

    def receive(self) -> tuple[Any, ...] | None:
        """Waits for the parent's next word; None when it is gone."""
        return frames.read(self._source)

    def live(self, handlers: Mapping[str, Handler], setup: Callable[[], Any] | None) -> None:
        """Works until the parent goes."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)
        with asyncio.Runner() as runner:
            try:
                runner.run(run_setup(setup))
            except Exception as error:  # noqa: BLE001 - the parent says what it was
                self.send("broken", f"{type(error).__name__}: {error}")
                return
            threading.Thread(target=self._listen, args=(handlers,), daemon=True).start()
            self.send("ready")
            while True:
                job = self._jobs.get()
                update = self._work(runner, job)
                self._guard = None
                self._teller.end()
                self.send("end", None if update is None else update.SerializeToString())

    def _work(self, runner: asyncio.Runner, job: Job) -> TaskUpdate | None:
        if job.handler.is_async:
            return runner.run(self._run_coroutine(job))
        guard = Guard(job.cancelled, partial(self._signal, threading.get_ident()), self._take_back)
        self._guard = guard
        return run_function(job, guard)

    async def _run_coroutine(self, job: Job) -> TaskUpdate | None:
        task = asyncio.ensure_future(run_coroutine(job))
        stop = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        guard = self._guard = Guard(job.cancelled, stop)
        try:
            with guard:
                await asyncio.wait({task})
        except Cancelled:
            task.cancel()
            await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    def _signal(self, main: int) -> None:
        self._signalled = True
        signal.pthread_kill(main, signal.SIGTERM)

    def _take_back(self) -> None:
        self._signalled = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # A signal that the parent did not ask for, such as a group's, leaves the work alone.
        if self._signalled:
            self._signalled = False
            raise Cancelled

    def _listen(self, handlers: Mapping[str, Handler]) -> None:
        while (message := self.receive()) is not None:
            word, *rest = message
            if word == "run":
                assignment, registered_as, limit = rest
                job = Job(assignment, handlers[registered_as], self._teller.latest, limit, _ignore)
                with self._lock:
                    self._job = job
                self._teller.begin()
                self._jobs.put(job)
            else:
                self._cancel(rest[0])
        # Nobody is there any more who wants the work.
        os._exit(_ORPHANED)

    def _cancel(self, key: AttemptKey) -> None:
        with self._lock:
            job = self._job
        if job is not None and job.key == key:
            # Its guard looks at this when the work goes in; afterwards the guard is there.
            job.cancelled.set()
            guard = self._guard
            if guard is not None:
                guard.interrupt()


def _ignore(_update: TaskUpdate | None) -> None:
    """The end is told by whoever runs the job."""


def main() -> None:
    """Runs the child: the socket's number is its argument, and the first frame says all else."""
    with socket.socket(fileno=int(sys.argv[1])) as pipe:
        child = Child(pipe)
        first = child.receive()
        if first is None:
            return
        preparation, work = first
        spawn.prepare(preparation)
        try:
            # Its functions are imported by name, which the line above made possible.
            handlers, setup = pickle.loads(work)  # noqa: S301 - from our own parent
        except Exception as error:  # noqa: BLE001 - the parent says what it was
            child.send("broken", f"its handlers cannot be imported: {error}")
            return
        child.live(handlers, setup)


if __name__ == "__main__":
    main()
