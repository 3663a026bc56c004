"""A function that does a task's work, and the checks that it can."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from inferry.backend.errors import RegistrationError

#: What a handler takes: the payload, and the task if it wants it.
_MOST_ARGUMENTS = 2
#: The type of a handler that takes every type that has none.
EVERY_TYPE = "*"


class ExecutorKind(StrEnum):
    """Where a handler runs."""

    #: As a coroutine, on the handlers' loop.
    LOOP = "loop"
    #: In one of as many threads as there are slots.
    THREAD = "thread"
    #: In a process of its own, one for each slot.
    PROCESS = "process"
    #: In one thread, always the same, one task at a time.
    SERIAL = "serial"


#: Where a handler runs: its kind, and the devices of its processes.
Place = tuple[ExecutorKind, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function."""

    type: str
    function: Callable[..., Any]
    executor: ExecutorKind
    #: Whether a cancel raises ``Cancelled`` inside it; of functions in threads.
    interrupt: bool
    #: Values of ``CUDA_VISIBLE_DEVICES``, given to its processes in turn; none leaves it.
    devices: tuple[str, ...]
    #: Whether it is a coroutine function.
    is_async: bool
    #: Whether it takes the task beside the payload.
    wants_task: bool

    @property
    def place(self) -> Place:
        """Where it runs."""
        return self.executor, self.devices

    def call(self, payload: Any, task: Any) -> Any:
        """Calls it: gives the result, or a coroutine that does."""
        return self.function(payload, task) if self.wants_task else self.function(payload)


def checked(
    task_type: str,
    function: Callable[..., Any],
    executor: str | None,
    *,
    interrupt: bool,
    devices: Sequence[int | str],
) -> Handler:
    """Makes a handler of a function.

    Raises:
        RegistrationError: It cannot be one in this way; the message says what is right.
    """
    name = getattr(function, "__qualname__", repr(function))
    is_async = _is_async(function)
    if executor is None:
        executor = ExecutorKind.LOOP if is_async else ExecutorKind.THREAD
    if executor not in tuple(ExecutorKind):
        kinds = ", ".join(ExecutorKind)
        raise RegistrationError(f"{name}: executor: expected one of {kinds}, got {executor!r}")
    kind = ExecutorKind(executor)
    if _yields(function):
        raise RegistrationError(
            f"{name} is a generator: report with task.progress(…) and return the result"
        )
    if kind is ExecutorKind.LOOP and not is_async:
        raise RegistrationError(
            f'{name} would hold up the loop: make it "async def", or take executor="thread"'
        )
    if interrupt and (is_async or kind not in (ExecutorKind.THREAD, ExecutorKind.SERIAL)):
        raise RegistrationError(
            f'{name}: interrupt=True is for functions in threads ("def", executor="thread" or '
            '"serial"); a coroutine and a process are stopped without it'
        )
    if devices and kind is not ExecutorKind.PROCESS:
        raise RegistrationError(f'{name}: devices=… is for executor="process"')
    if kind is ExecutorKind.PROCESS and ("<" in name or not hasattr(function, "__module__")):
        raise RegistrationError(
            f'{name}: with executor="process" a handler is imported by its name: define it with '
            '"def" at the top of a module'
        )
    return Handler(
        type=task_type,
        function=function,
        executor=kind,
        interrupt=interrupt,
        devices=tuple(map(str, devices)),
        is_async=is_async,
        wants_task=_wants_task(function, name),
    )


def _is_async(function: Callable[..., Any]) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - the method itself is looked at
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _yields(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _wants_task(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    asked = [
        one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    needed = sum(one.default is one.empty for one in asked)
    any_number = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    by_name = any(one.kind is one.KEYWORD_ONLY and one.default is one.empty for one in parameters)
    if needed > _MOST_ARGUMENTS or by_name or not (asked or any_number):
        raise RegistrationError(f"{name}: a handler takes (payload) or (payload, task)")
    return any_number or len(asked) >= _MOST_ARGUMENTS
