"""Runs a backend: the transport on one loop, the handlers on another, each on its own thread."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from inferry.backend.app import Backend, run_setup
from inferry.backend.engine import Engine
from inferry.backend.errors import SetupError
from inferry.backend.executors import Executor
from inferry.backend.executors.loop import LoopExecutor
from inferry.backend.executors.processes import ProcessExecutor
from inferry.backend.executors.threads import ThreadExecutor
from inferry.backend.handler import ExecutorKind, Place
from inferry.backend.lag import LagMeter
from inferry.backend.outbox import Outbox
from inferry.backend.threads import LoopThread
from inferry.backend.transport import Transport
from inferry.backend.waits import first, until

Result = TypeVar("Result")

#: How long interrupted work may take to end.
_STOP_S = 5.0
#: How long the last reports may take to arrive.
_DELIVER_S = 10.0
#: How long the handlers' loop may take to end.
_END_S = 2.0

_log = logging.getLogger(__name__)


class Host:
    """A running backend.

    Args:
        app: What it can do.
        make: Makes the transport, on its loop.
        spool: A folder for reports that wait for their delivery; None keeps them in memory.
        drain_timeout: Seconds that running work may take to end once the backend is to stop.
    """

    def __init__(
        self,
        app: Backend,
        make: Callable[[Engine, LagMeter], Transport],
        *,
        spool: Path | None = None,
        drain_timeout: float = 600.0,
    ) -> None:
        self._app = app
        self._make = make
        self._spool = spool
        self._drain_timeout = drain_timeout
        self._transport_thread = LoopThread("inferry-transport")
        self._handlers_thread = LoopThread("inferry-handlers")
        #: Set on the transport's loop.
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._opened: Future[None] = Future()
        self._ready: Future[None] = Future()
        self._living: Future[None] | None = None
        #: What runs here, once it does.
        self.engine: Engine
        self.transport: Transport

    def start(self) -> None:
        """Starts; returns when the transport is open, while the setup still runs.

        Raises:
            OSError: The transport cannot be opened.
        """
        self._handlers_thread.start()
        self._transport_thread.start()
        self._living = self._transport_thread.submit(self._live())
        self._living.add_done_callback(self._note_end)
        self._opened.result()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until the setup is done.

        Raises:
            SetupError: It failed.
            TimeoutError: It takes longer.
        """
        self._ready.result(timeout)

    @property
    def ready(self) -> Future[None]:
        """Set when the setup is done."""
        return self._ready

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Runs a coroutine on the transport's loop, from any other thread."""
        return self._transport_thread.submit(work)

    def drain(self) -> None:
        """Has it take no more, finish what it has and end; returns at once. Safe in any thread."""
        self._set(self._stop)

    def hurry(self) -> None:
        """Has it break off what it has and end; returns at once. Safe in any thread."""
        self._set(self._stop)
        self._set(self._hurry)

    @property
    def ending(self) -> Future[None]:
        """Done when it has ended, with why if it did not end in order; once it has started."""
        assert self._living is not None  # noqa: S101 - a mistake of whoever asks
        return self._living

    def wait(self, timeout: float | None = None) -> None:
        """Waits for its end.

        Raises:
            SetupError: The setup failed.
            RefusedError: The gateway will not have it.
            TimeoutError: It takes longer.
        """
        if self._living is None:
            return
        try:
            self._living.result(timeout)
        finally:
            if self._living.done():
                self._transport_thread.join(_END_S)
                self._handlers_thread.join(_END_S)

    def _set(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            self._transport_thread.loop.call_soon_threadsafe(event.set)

    def _note_end(self, living: Future[None]) -> None:
        error = living.exception() or SetupError("it was stopped before it was ready")
        for waited in (self._opened, self._ready):
            if not waited.done():
                waited.set_exception(error)
        self._handlers_thread.stop()
        self._transport_thread.stop()

    def _note_change(self) -> None:
        self.transport.changed()

    async def _live(self) -> None:
        executors = self._executors()
        engine = self.engine = Engine(self._app, executors, Outbox(self._spool))
        lag = LagMeter(self._handlers_thread.loop)
        transport = self.transport = engine.transport = self._make(engine, lag)
        helping: list[asyncio.Task[None]] = []
        try:
            await transport.open()
            self._opened.set_result(None)
            helping = [asyncio.create_task(lag.watch()), asyncio.create_task(transport.run())]
            setting_up = asyncio.create_task(self._set_up(engine, executors))
            await until(self._stop, {*helping, setting_up})
            setting_up.cancel()
            await self._drain(engine)
        finally:
            for task in helping:
                task.cancel()
            await asyncio.gather(*helping, return_exceptions=True)
            await transport.close()
            for executor in executors.values():
                await executor.close()

    async def _set_up(self, engine: Engine, executors: Mapping[Place, Executor]) -> None:
        if any(kind is not ExecutorKind.PROCESS for kind, _ in executors):
            setup = self._handlers_thread.submit(run_setup(self._app.setup_function))
            try:
                await asyncio.wrap_future(setup)
            except Exception as error:
                text = f"the setup failed: {type(error).__name__}: {error}"
                raise SetupError(text) from error
        await asyncio.gather(*(executor.start() for executor in executors.values()))
        engine.ready = True
        self._ready.set_result(None)
        engine.transport.changed()

    async def _drain(self, engine: Engine) -> None:
        """Lets what runs end, or breaks it off; then delivers."""
        engine.leaving = True
        engine.transport.changed()
        leaving = asyncio.create_task(engine.transport.leave())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_timeout):
                await first(engine.idle, self._hurry)
        if not engine.idle.is_set():
            _log.warning("%d attempts are broken off: they were not done in time", engine.active)
            engine.interrupt()
        # What does not stop is left behind, and what cannot be delivered lost, or in the spool.
        for event, within_s in ((engine.idle, _STOP_S), (engine.empty, _DELIVER_S)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await event.wait()
        # The gateway answers when it has let go of what this backend had.
        await asyncio.wait({leaving}, timeout=_END_S)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

    def _executors(self) -> dict[Place, Executor]:
        places = {handler.place for handler in self._app.handlers.values()}
        return {place: self._executor(place) for place in places}

    def _executor(self, place: Place) -> Executor:
        kind, devices = place
        match kind:
            case ExecutorKind.LOOP:
                return LoopExecutor(self._handlers_thread.loop)
            case ExecutorKind.THREAD:
                return ThreadExecutor(self._app.slots, "inferry-work")
            case ExecutorKind.SERIAL:
                return ThreadExecutor(1, "inferry-serial")
        handlers = {
            name: handler for name, handler in self._app.handlers.items() if handler.place == place
        }
        return ProcessExecutor(
            self._app.slots,
            handlers,
            self._app.setup_function,
            devices,
            grace_s=self._app.cancel_grace,
            changed=self._note_change,
        )
