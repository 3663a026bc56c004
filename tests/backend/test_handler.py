import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from inferry.backend import Backend, RegistrationError
from tests.backend import handlers


def generator(_payload: Any) -> Iterator[int]:
    yield 1


async def async_generator(_payload: Any) -> AsyncIterator[int]:
    yield 1


def function(_payload: Any) -> None: ...


async def coroutine(_payload: Any) -> None: ...


def no_argument() -> None: ...


def three_arguments(_payload: Any, _task: Any, _more: Any) -> None: ...


def by_name(_payload: Any, *, task: Any) -> None: ...


class Model:
    def predict(self, _payload: Any) -> None: ...

    async def __call__(self, _payload: Any, _task: Any) -> None: ...


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (generator, {}, "generator is a generator: report with task.progress"),
        (async_generator, {}, "async_generator is a generator: report with task.progress"),
        (function, {"executor": "loop"}, 'function would hold up the loop: make it "async def"'),
        (function, {"executor": "fork"}, "function: executor: expected one of loop, thread"),
        (coroutine, {"interrupt": True}, "coroutine: interrupt=True is for functions in threads"),
        (function, {"executor": "process", "interrupt": True}, "interrupt=True is for"),
        (function, {"devices": [0]}, 'function: devices=… is for executor="process"'),
        (lambda _: None, {"executor": "process"}, "a handler is imported by its name"),
        (partial(function), {"executor": "process"}, "a handler is imported by its name"),
        (no_argument, {}, r"no_argument: a handler takes \(payload\) or \(payload, task\)"),
        (three_arguments, {}, "three_arguments: a handler takes"),
        (by_name, {}, "by_name: a handler takes"),
    ],
)
def test_what_could_not_work_is_refused_when_it_is_registered(
    given: Callable[..., Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(RegistrationError, match=says):
        Backend("b").task("t", **options)(given)


@pytest.mark.parametrize(
    ("given", "executor", "wants_task"),
    [
        (function, "thread", False),
        (coroutine, "loop", False),
        (handlers.work, "thread", True),
        (handlers.work_async, "loop", True),
        (Model().predict, "thread", False),
        (Model(), "loop", True),
        (lambda *given: given, "thread", True),
    ],
)
def test_a_function_runs_where_it_fits_and_gets_what_it_takes(
    given: Callable[..., Any], executor: str, *, wants_task: bool
) -> None:
    app = Backend("b")
    assert app.task("t")(given) is given
    assert app.handlers["t"].executor == executor
    assert app.handlers["t"].wants_task == wants_task


@pytest.mark.parametrize(
    ("name", "slots", "says"), [("", 1, "name: "), ("n" * 129, 1, "name: "), ("b", 0, "max_conc")]
)
def test_a_backend_out_of_bounds_is_refused(name: str, slots: int, says: str) -> None:
    with pytest.raises(RegistrationError, match=says):
        Backend(name, slots)


def test_a_type_and_the_setup_are_registered_once() -> None:
    app = Backend("b")
    app.task("t")(function)
    with pytest.raises(RegistrationError, match="t: there is a handler already"):
        app.task("t")(function)
    app.setup(no_argument)
    with pytest.raises(RegistrationError, match="setup: there is one already"):
        app.setup(no_argument)


def test_its_capabilities_are_its_types_and_what_it_says_beside_them() -> None:
    app = Backend("b", capabilities=["gpu", "t"])
    app.task("t")(function)
    assert app.capabilities == ["t", "gpu"]
    app.task("*")(function)
    assert app.capabilities == ["gpu", "t"]
    assert app.handler_of("other") is app.handlers["*"]


def test_a_backend_of_serial_work_alone_has_one_slot() -> None:
    app = Backend("b", 4)
    app.task("t", executor="serial")(function)
    assert app.slots == 1
    app.task("u")(function)
    assert app.slots == 4


def test_a_coroutine_that_looks_like_a_function_is_told_so() -> None:
    """``asyncio.sleep`` behind a lambda: nobody sees it before it is called."""
    app = Backend("b")
    app.task("t")(lambda _: asyncio.sleep(0))
    assert app.handlers["t"].executor == "thread"
