"""Handlers in child processes: one for each slot, started anew, never forked."""

import asyncio
import pickle
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inferry.backend.attempt import AttemptKey
from inferry.backend.errors import SetupError
from inferry.backend.executors import Job
from inferry.backend.executors.slot import Slot
from inferry.backend.handler import Handler


class ProcessExecutor:
    """Runs jobs in child processes.

    Args:
        count: Processes, each with one job at a time.
        handlers: What they can do, by the type that it is registered for.
        setup: Runs in each before its first job.
        devices: What ``CUDA_VISIBLE_DEVICES`` says in each, in turn; none leaves it.
        grace_s: How long cancelled work may take to end before its process is killed.
        changed: Called when ``missing`` changes.

    Raises:
        SetupError: A handler or the setup cannot be imported by its name.
    """

    def __init__(
        self,
        count: int,
        handlers: Mapping[str, Handler],
        setup: Callable[[], Any] | None,
        devices: Sequence[str],
        *,
        grace_s: float,
        changed: Callable[[], None],
    ) -> None:
        self._changed = changed
        #: Jobs that no process is free for: there are no more than slots.
        self._waiting: deque[Job] = deque()
        work = _pickled(handlers, setup)
        self._slots = [
            Slot(
                work,
                devices[number % len(devices)] if devices else None,
                grace_s,
                self._next,
            )
            for number in range(count)
        ]

    @property
    def missing(self) -> int:
        """Slots that have no work because their process starts."""
        return sum(slot.key is None and not slot.usable for slot in self._slots)

    async def start(self) -> None:
        """Starts all processes, and waits until their setup is done.

        Raises:
            SetupError: The setup of one failed.
        """
        await asyncio.gather(*(slot.start() for slot in self._slots))

    def run(self, job: Job) -> None:
        """Gives a job to a free process, or to the next one that is free."""
        self._waiting.append(job)
        self._hand_out()

    def cancel(self, key: AttemptKey) -> None:
        """Stops a job, in the end by force."""
        for slot in self._slots:
            if slot.key == key:
                slot.cancel()
                return
        waiting = next((job for job in self._waiting if job.key == key), None)
        if waiting is not None:
            self._waiting.remove(waiting)
            waiting.done(None)

    async def close(self) -> None:
        """Kills all processes."""
        await asyncio.gather(*(slot.close() for slot in self._slots))

    def _next(self) -> None:
        self._hand_out()
        self._changed()

    def _hand_out(self) -> None:
        for slot in self._slots:
            if not self._waiting:
                return
            if slot.usable and slot.key is None:
                slot.run(self._waiting.popleft())


def _pickled(handlers: Mapping[str, Handler], setup: Callable[[], Any] | None) -> bytes:
    try:
        return pickle.dumps((dict(handlers), setup))
    except (pickle.PicklingError, AttributeError, ImportError, TypeError) as error:
        text = f"what runs in processes is imported by its name, from the top of a module: {error}"
        raise SetupError(text) from None
