"""Runs a handler once, in its executor."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from inferry.backend.app import Backend
from inferry.backend.attempt import Assignment, AttemptKey, Report
from inferry.backend.engine import Engine
from inferry.backend.host import Host
from inferry.backend.lag import LagMeter
from inferry.backend.testing.outcome import Outcome

_TYPE = "test"
#: How long a setup and the start of a process may take.
_READY_S = 60.0


async def run(  # noqa: PLR0913 - they are those of a backend and of its tasks
    handler: Callable[..., Any],
    payload: Any,
    *,
    executor: str | None = None,
    interrupt: bool = False,
    devices: Sequence[int | str] = (),
    setup: Callable[[], Any] | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - the task's, not the caller's
    cancel_after: float | None = None,
    cancel_grace: float = 2.0,
    progress_interval: float = 0.0,
) -> Outcome:
    """Runs a handler once, where it would run in earnest.

    Args:
        handler: As for ``Backend.task``.
        payload: Any value of JSON.
        executor: As for ``Backend.task``.
        interrupt: As for ``Backend.task``.
        devices: As for ``Backend.task``.
        setup: As for ``Backend.setup``.
        timeout: Seconds that the attempt may take.
        cancel_after: Seconds after which it is cancelled; None never does.
        cancel_grace: As for ``Backend``.
        progress_interval: As for ``Backend``; by default every word of progress counts.

    Returns:
        What became of it, once its work has stopped.

    Raises:
        RegistrationError: The function cannot be a handler in this way.
        SetupError: The setup failed.
    """
    app = Backend("test", 1, progress_interval=progress_interval, cancel_grace=cancel_grace)
    app.task(_TYPE, executor=executor, interrupt=interrupt, devices=devices)(handler)
    if setup is not None:
        app.setup(setup)
    host = Host(app, _Recorder, drain_timeout=0)
    await asyncio.to_thread(host.start)
    try:
        await asyncio.to_thread(host.wait_ready, _READY_S)
        recorder = host.transport
        assert isinstance(recorder, _Recorder)  # noqa: S101 - made by the line above
        assignment = Assignment("task_test", 1, _TYPE, orjson.dumps(payload), timeout)
        loop = recorder.loop
        work = recorder.work(assignment, cancel_after)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    finally:
        host.hurry()
        await asyncio.to_thread(host.wait)


class _Recorder:
    """A transport that keeps what it should carry."""

    def __init__(self, engine: Engine, _lag: LagMeter) -> None:
        self.loop = asyncio.get_running_loop()
        self._engine = engine
        self._outcome = Outcome()
        self._ended = asyncio.Event()

    async def work(self, assignment: Assignment, cancel_after: float | None) -> Outcome:
        """Has one attempt worked on."""
        self._engine.take(assignment)
        if cancel_after is not None:
            self.loop.call_later(cancel_after, self._cancel, assignment.key)
        await self._ended.wait()
        # A slot of a cancelled or late attempt may still be held.
        await self._engine.idle.wait()
        return self._outcome

    def _cancel(self, key: AttemptKey) -> None:
        if self._engine.cancel(key) is not None:
            self._outcome.status = "CANCELLED"
            self._ended.set()

    async def open(self) -> None:
        """Needs nothing."""

    async def run(self) -> None:
        """Waits."""
        await asyncio.Event().wait()

    def report(self, report: Report) -> None:
        """Takes a report in."""
        self._outcome.note(report.update)
        if report.final:
            self._engine.delivered(report.key)
            self._ended.set()

    def stopped(self, _key: AttemptKey) -> None:
        """Is seen by the engine's idleness."""

    def changed(self) -> None:
        """Has nothing to look at."""

    async def leave(self) -> None:
        """Tells nobody."""

    async def close(self) -> None:
        """Has nothing to close."""
