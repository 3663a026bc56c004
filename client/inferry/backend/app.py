"""A backend: its name, what it can do, and the functions that do it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from inferry.backend.errors import RegistrationError
from inferry.backend.handler import EVERY_TYPE, ExecutorKind, Handler, checked

Function = TypeVar("Function", bound=Callable[..., Any])

_MOST_SLOTS = 10_000
_NAME_CHARS = 128


class Backend:
    """A backend, whichever way its work comes.

    Args:
        name: What the gateway knows it by: 1 to 128 characters.
        max_concurrent: Tasks that it works on at once, 1 to 10,000.
        capabilities: What it has beside the types of its handlers.
        labels: The owner's labels; workers over gRPC alone have them.
        metadata: The owner's own words about it, an object of JSON.
        progress_interval: Seconds between two progress reports of a task.
        cancel_grace: Seconds that a process has to end cancelled work before it is killed.

    Raises:
        RegistrationError: A value is out of its bounds.
    """

    def __init__(
        self,
        name: str,
        max_concurrent: int = 10,
        *,
        capabilities: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        progress_interval: float = 0.5,
        cancel_grace: float = 2.0,
    ) -> None:
        if not 1 <= len(name) <= _NAME_CHARS:
            raise RegistrationError(f"name: expected 1 to {_NAME_CHARS} characters, got {name!r}")
        if not 1 <= max_concurrent <= _MOST_SLOTS:
            raise RegistrationError(
                f"max_concurrent: expected 1 to {_MOST_SLOTS:,}, got {max_concurrent}"
            )
        self.name = name
        self.labels = dict(labels or {})
        self.metadata = dict(metadata or {})
        self.progress_interval = progress_interval
        self.cancel_grace = cancel_grace
        self._max_concurrent = max_concurrent
        self._capabilities = list(capabilities)
        self._handlers: dict[str, Handler] = {}
        self._setup: Callable[[], Any] | None = None

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The functions that do the work, by type."""
        return self._handlers

    @property
    def slots(self) -> int:
        """How many tasks it works on at once: one, if all of its work is serial."""
        kinds = {handler.executor for handler in self._handlers.values()}
        return 1 if kinds == {ExecutorKind.SERIAL} else self._max_concurrent

    @property
    def capabilities(self) -> list[str]:
        """What the gateway may send it; none means every type."""
        if EVERY_TYPE in self._handlers:
            return self._capabilities
        return list(dict.fromkeys([*self._handlers, *self._capabilities]))

    @property
    def setup_function(self) -> Callable[[], Any] | None:
        """What runs before the first task."""
        return self._setup

    def setup(self, function: Function) -> Function:
        """Has a function run before the first task, such as one that loads models.

        Until it returns the backend is loading and gets no tasks. It runs once in each process
        that has work: in every child of ``executor="process"``, and here if any handler runs here.

        Raises:
            RegistrationError: There is one already.
        """
        if self._setup is not None:
            raise RegistrationError("setup: there is one already; call the second from the first")
        self._setup = function
        return function

    def task(
        self,
        task_type: str,
        *,
        executor: str | None = None,
        interrupt: bool = False,
        devices: Sequence[int | str] = (),
    ) -> Callable[[Function], Function]:
        """Has a function do the work of a type: ``(payload)`` or ``(payload, task)`` -> result.

        Args:
            task_type: The type; ``*`` for every type that has no handler of its own.
            executor: ``loop`` (default of ``async def``), ``thread`` (default of ``def``),
                ``process`` or ``serial``.
            interrupt: Whether a cancel raises ``Cancelled`` inside a function in a thread.
            devices: With ``process``: what ``CUDA_VISIBLE_DEVICES`` says in each child, in turn.

        Raises:
            RegistrationError: The function cannot be a handler in this way.
        """

        def register(function: Function) -> Function:
            if task_type in self._handlers:
                raise RegistrationError(f"{task_type}: there is a handler already")
            self._handlers[task_type] = checked(
                task_type, function, executor, interrupt=interrupt, devices=devices
            )
            return function

        return register

    def handler_of(self, task_type: str) -> Handler | None:
        """Finds what does the work of a type."""
        return self._handlers.get(task_type) or self._handlers.get(EVERY_TYPE)


async def run_setup(function: Callable[[], Any] | None) -> None:
    """Runs a setup, whether it is a coroutine function or not."""
    if function is not None:
        done = function()
        if inspect.isawaitable(done):
            await done
