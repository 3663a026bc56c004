"""An event loop whose time is virtual: when nothing is ready, it is at once the next timer's time.

There are no sockets, threads or signals, so everything that happens follows from the program and
its random numbers, and a minute of waiting takes no time at all.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any

_RESOLUTION_S = 1e-9
#: Iterations in no time after which there is no end to be hoped for.
_BUSY_STEPS = 20_000

#: Tells whether what runs in a context has to wait.
Holds = Callable[[Context], bool]


class StuckError(Exception):
    """Nothing will ever happen again, and somebody still waits; the message says more."""


class SimulatedTask(asyncio.Task[Any]):
    """A task that hashes by its number, not by its address: sets of tasks have one order."""

    #: The process that it runs in; None for whatever is no gateway.
    process: Any = None

    def __init__(self, coro: Any, *, loop: "SimulatedLoop", context: Context | None) -> None:
        self._number = loop.number()
        super().__init__(coro, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Ready(deque[asyncio.Handle]):
    """What is to run next, but for what has to wait."""

    def __init__(self, handles: Iterable[asyncio.Handle], holds: Holds) -> None:
        super().__init__()
        self._holds = holds
        self.held: list[asyncio.Handle] = []
        for handle in handles:
            self.append(handle)

    def append(self, handle: asyncio.Handle) -> None:
        """Has it run next, or wait."""
        if self._holds(handle._context):  # type: ignore[attr-defined]  # nothing else tells
            self.held.append(handle)
        else:
            super().append(handle)


def _callback(handle: asyncio.Handle) -> object:
    return handle._callback  # type: ignore[attr-defined]  # nothing else tells


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order that ``asyncio`` promises, on a clock of its own."""

    #: What the base class keeps them in.
    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        super().__init__()
        self._clock_resolution = _RESOLUTION_S
        self._selector = self
        self._now_s = 0.0
        self._numbers = 0
        #: Iterations so far: between two of them everybody stands at an ``await``.
        self.steps = 0
        #: In which of them time went on last.
        self._moved = 0
        #: Called before certain iterations.
        self.at_step: dict[int, Callable[[], None]] = {}
        #: What is to wait from the next iteration on, if that is new.
        self._holds: Holds | None = None

    def time(self) -> float:
        """Seconds since the loop was made, virtual ones."""
        return self._now_s

    def number(self) -> int:
        """Gives the next number of a task."""
        self._numbers += 1
        return self._numbers

    def select(self, timeout: float | None) -> list[Any]:
        """Takes the place of waiting for sockets: lets the time pass.

        Raises:
            StuckError: There is nothing to wait for, or no end of it.
        """
        self.steps += 1
        if self.steps in self.at_step:
            self.at_step.pop(self.steps)()
        if self._holds is not None:
            ready = self._ready
            handles = [*ready.held, *ready] if isinstance(ready, _Ready) else ready
            self._ready, self._holds = _Ready(handles, self._holds), None
        if timeout is None and not self._ready:
            raise StuckError("nothing will ever happen again")
        if timeout and not self._ready:
            self._now_s += timeout
            self._moved = self.steps
        elif self.steps - self._moved > _BUSY_STEPS:
            self._moved = self.steps
            busy = [getattr(_callback(one), "__self__", one) for one in self._ready]
            raise StuckError(f"no time passes: {busy[:3]}")
        return []

    def hold(self, holds: Holds) -> None:
        """Lets wait, from now on, whatever runs in some contexts.

        Args:
            holds: Tells which; it is asked whenever something is to run.
        """
        self._holds = holds

    def release(self) -> None:
        """Lets all that waits run now, unless it is held again."""
        ready = self._ready
        if isinstance(ready, _Ready):
            held, ready.held = ready.held, []
            for handle in held:
                ready.append(handle)

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> Any:
        """Gives an address as it is: names are asked for in threads, which know no virtual time."""
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))]

    def _process_events(self, _events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
