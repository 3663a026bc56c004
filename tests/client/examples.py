"""Runs the examples of docstrings, those with ``await``, too."""

import ast
import asyncio
import doctest
import io
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from inspect import iscoroutine
from typing import Any

_AWAITABLE = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def found(module: types.ModuleType) -> Iterator[doctest.DocTest]:
    """Finds what of a module has examples."""
    tests = doctest.DocTestFinder(exclude_empty=True).find(module)
    return (test for test in tests if test.examples)


async def run(test: doctest.DocTest, names: dict[str, Any]) -> None:
    """Runs the examples of one docstring, one after the other, and compares what they print."""
    checker = doctest.OutputChecker()
    for number, example in enumerate(test.examples):
        code = compile(example.source, f"<{test.name}[{number}]>", "single", flags=_AWAITABLE)
        with redirect_stdout(io.StringIO()) as out:
            ended = types.FunctionType(code, names)()
            if iscoroutine(ended):
                await ended
        printed = out.getvalue()
        assert checker.check_output(example.want, printed, doctest.ELLIPSIS), (
            f"{test.name}: {example.source.strip()} printed {printed!r}, not {example.want!r}"
        )


async def run_in_thread(test: doctest.DocTest, names: dict[str, Any]) -> None:
    """Runs examples that block."""
    await asyncio.to_thread(lambda: asyncio.run(run(test, names)))
