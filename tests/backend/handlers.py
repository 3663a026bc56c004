"""Handlers of the tests: at the top of a module, for child processes import them by name."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inferry.backend import TaskContext, TaskError

JSON = dict[str, Any]
TICK_S = 0.001
LONG_S = 3_600


def work(payload: JSON, task: TaskContext) -> Any:
    """Does what its payload says."""
    return ACTS[payload.get("do", "echo")](payload, task)


async def work_async(payload: JSON, task: TaskContext) -> Any:
    """The same as a coroutine."""
    match payload.get("do"):
        case "block":
            await task.progress(1)
            await asyncio.sleep(LONG_S)
        case "return when cancelled":
            await task.progress(1)
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                return "too late"
        case "progress":
            for percent in payload["progress"]:
                await task.progress(percent, f"at {percent}")
                await asyncio.sleep(payload["pause"])
            return "done"
        case "stray":
            stray = asyncio.create_task(raise_later())
            await asyncio.sleep(0.1)
            return repr(stray)
        case "wait for":
            await task.progress(1)
            file = Path(payload["file"])
            while not file.exists():  # noqa: ASYNC110, ASYNC240 - in a process there is no event
                await asyncio.sleep(TICK_S)
            return "there"
    return work(payload, task)


async def raise_later() -> None:
    """Raises what ends a program."""
    raise SystemExit(3)


def setup() -> None:
    """Waits for the file that the environment names."""
    path = Path(os.environ["TEST_SETUP_WAITS_FOR"])
    while not path.exists():
        time.sleep(TICK_S)


def setup_that_fails() -> None:
    """Fails."""
    raise RuntimeError("no such model")


def echo(payload: JSON, _task: TaskContext) -> Any:
    return payload.get("result", {"echo": payload})


def fail(payload: JSON, _task: TaskContext) -> Any:
    raise ValueError(payload["text"])


class Wilful(BaseException):
    """Is no ``Exception``, and has no text to give."""

    def __str__(self) -> str:
        raise RuntimeError("no")


RAISED = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "Wilful": Wilful,
}


def raise_odd(payload: JSON, _task: TaskContext) -> Any:
    raise RAISED[payload["kind"]]


def fail_as_foreseen(_payload: JSON, _task: TaskContext) -> Any:
    raise TaskError("INVALID_FORMAT", "no such codec", retryable=True, details={"at": 3})


def unserialisable(_payload: JSON, _task: TaskContext) -> Any:
    return {"a": object()}


def not_a_number(_payload: JSON, _task: TaskContext) -> Any:
    return {"a": [1.5, float("nan")], "b": None}


def large(payload: JSON, _task: TaskContext) -> Any:
    return "x" * payload["size"]


def exit_at_once(payload: JSON, _task: TaskContext) -> Any:
    os._exit(payload["status"])


def be_killed(_payload: JSON, _task: TaskContext) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(LONG_S)


def block(_payload: JSON, task: TaskContext) -> Any:
    task.progress(1)
    while True:
        task.check()
        time.sleep(TICK_S)


def return_when_cancelled(_payload: JSON, task: TaskContext) -> Any:
    task.progress(1)
    while not task.cancelled:
        try:
            time.sleep(TICK_S)
        except BaseException:  # noqa: BLE001 - the signal: it returns all the same
            return "too late"
    return "too late"


def ignore_everything(_payload: JSON, task: TaskContext) -> Any:
    task.progress(1)
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001 - that is what it is for
            pass


def spin(_payload: JSON, task: TaskContext) -> Any:
    task.progress(1)
    while True:
        pass


def progress(payload: JSON, task: TaskContext) -> Any:
    for percent in payload["progress"]:
        task.progress(percent, f"at {percent}")
        time.sleep(payload["pause"])
    return "done"


def note(payload: JSON, task: TaskContext) -> Any:
    with Path(payload["file"]).open("a") as file:
        file.write(f"{task.id}/{task.attempt}\n")
    return "noted"


def wait_for(payload: JSON, task: TaskContext) -> Any:
    task.progress(1)
    while not Path(payload["file"]).exists():
        time.sleep(TICK_S)
    return "there"


def context(_payload: JSON, task: TaskContext) -> Any:
    return {
        "id": task.id,
        "attempt": task.attempt,
        "type": task.type,
        "timeout": task.timeout,
        "traceparent": task.traceparent,
        "payload": task.payload_json.decode(),
        "cancelled": task.cancelled,
        "device": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "pid": os.getpid(),
    }


ACTS: Mapping[str, Callable[[JSON, TaskContext], Any]] = {
    "be killed": be_killed,
    "block": block,
    "context": context,
    "echo": echo,
    "exit": exit_at_once,
    "fail": fail,
    "fail as foreseen": fail_as_foreseen,
    "ignore everything": ignore_everything,
    "large": large,
    "not a number": not_a_number,
    "note": note,
    "progress": progress,
    "raise": raise_odd,
    "return when cancelled": return_when_cancelled,
    "spin": spin,
    "unserialisable": unserialisable,
    "wait for": wait_for,
}
