"""The mock backend: work that does what its payload says."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from inferry.backend import Backend, TaskContext, TaskError, TaskTimeout
from inferry.cli.mock.script import End, Script, ScriptError, read_script

#: Status of the process that a script let crash.
CRASHED = 70


def mock_backend(name: str, capabilities: Sequence[str], max_concurrent: int) -> Backend:
    """Makes a backend that takes every type.

    Args:
        name: Its name at the gateway.
        capabilities: What it says that it takes; none takes every type.
        max_concurrent: Tasks to work on at once.
    """
    # Who tries the gateway out wants to see each step.
    app = Backend(name, max_concurrent, capabilities=capabilities, progress_interval=0)
    rounds: Counter[str] = Counter()

    @app.task("*")
    async def perform(_payload: Any, task: TaskContext) -> Any:
        # The payload stays the text that it is: it shows what becomes of it.
        try:
            script = read_script(task.payload_json)
        except ScriptError as error:
            raise TaskError("INVALID_PAYLOAD", str(error)) from None
        await _work(script, task)
        if rounds[task.id] < script.flaky:
            rounds[task.id] += 1
            text = f"round {rounds[task.id]} of {script.flaky} that fail"
            raise TaskError(script.code, text, retryable=True)
        return await _end(script)

    return app


async def _work(script: Script, task: TaskContext) -> None:
    for step in range(1, script.steps + 1):
        await asyncio.sleep(script.seconds / script.steps)
        if script.end is End.CRASH and 2 * step >= script.steps:
            os._exit(CRASHED)
        percent = round(100 * step / script.steps, 1)
        await task.progress(percent, f"step {step} of {script.steps}")
    if not script.steps:
        await asyncio.sleep(script.seconds)


async def _end(script: Script) -> Any:
    match script.end:
        case End.COMPLETE:
            return orjson.Fragment(script.result)
        case End.FAIL:
            raise TaskError(script.code, script.error)
        case End.TIMEOUT:
            raise TaskTimeout(script.code, script.error)
        case End.CRASH:
            os._exit(CRASHED)
        case End.HANG:
            # Nobody sets it.
            return await asyncio.Event().wait()
