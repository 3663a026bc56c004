"""``inferry.backend.testing.run``, and through it each executor."""

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from inferry.backend import Cancelled, SetupError, TaskContext
from inferry.backend.testing import run
from inferry.backend.words import read_payload
from inferry.wire.errors import FieldError
from tests.backend import handlers


async def test_it_gives_result_progress_and_extensions() -> None:
    def handler(payload: dict[str, Any], task: TaskContext) -> str:
        task.progress(50, payload["text"])
        task.extend(90)
        return "done"

    outcome = await run(handler, {"text": "half"})
    assert (outcome.status, outcome.result) == ("COMPLETED", "done")
    assert outcome.progress == [(50, "half")]
    assert outcome.extensions == [90]


async def test_it_gives_the_error() -> None:
    outcome = await run(handlers.fail_as_foreseen, {})
    assert (outcome.status, outcome.code, outcome.error) == (
        "FAILED",
        "INVALID_FORMAT",
        "no such codec",
    )
    assert outcome.retryable


@pytest.mark.parametrize("executor", ["thread", "serial"])
async def test_an_interrupt_stops_a_busy_function(executor: str) -> None:
    outcome = await run(handlers.spin, {}, executor=executor, interrupt=True, cancel_after=0.05)
    assert outcome.status == "CANCELLED"


async def test_a_function_without_interrupt_is_told_by_the_task_alone() -> None:
    seen: list[bool] = []

    def handler(_payload: Any, task: TaskContext) -> None:
        while not task.cancelled:
            time.sleep(0.001)
        try:
            task.progress(1)
        except Cancelled:
            seen.append(True)
            raise

    assert (await run(handler, {}, cancel_after=0.05)).status == "CANCELLED"
    assert seen == [True]


async def test_cleaning_up_may_take_its_time() -> None:
    cleaned: list[bool] = []

    async def handler(_payload: Any) -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(True)

    assert (await run(handler, {}, cancel_after=0.05)).status == "CANCELLED"
    assert cleaned == [True]


async def test_an_extension_puts_the_end_of_the_time_off() -> None:
    async def handler(_payload: Any, task: TaskContext) -> str:
        await task.extend(30)
        await asyncio.sleep(0.3)
        return "in time"

    assert (await run(handler, {}, timeout=0.2)).result == "in time"


async def test_an_extension_out_of_bounds_is_refused() -> None:
    def handler(_payload: Any, task: TaskContext) -> None:
        task.extend(100_000)

    outcome = await run(handler, {})
    assert outcome.error == "extend: expected 0 to 86,400 seconds, got 100000"


async def test_of_much_progress_the_last_word_arrives() -> None:
    def handler(_payload: Any, task: TaskContext) -> None:
        for percent in range(101):
            task.progress(percent)

    outcome = await run(handler, {}, progress_interval=30)
    assert len(outcome.progress) <= 2
    assert outcome.progress[-1] == (100, None)


async def test_a_coroutine_that_cancels_itself_has_failed() -> None:
    async def handler(_payload: Any) -> None:
        raise asyncio.CancelledError

    outcome = await run(handler, {})
    assert (outcome.status, outcome.error) == ("FAILED", "CancelledError")


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_work_that_exits_has_failed(executor: str) -> None:
    outcome = await run(leave, {}, executor=executor)
    assert (outcome.status, outcome.error) == ("FAILED", "4")
    assert outcome.loss == ""


def leave(_payload: Any) -> None:
    raise SystemExit(4)


async def test_a_coroutine_from_a_function_is_a_failure_that_says_what_is_right() -> None:
    outcome = await run(lambda _: asyncio.sleep(0), {})
    assert outcome.error == 'the handler gave a coroutine: make it "async def"'


async def test_a_handler_gets_integers_of_any_size_as_they_were_given() -> None:
    text = b'{"a":123456789012345678901234567890,"b":1.5}'
    assert read_payload(text) == {"a": 123456789012345678901234567890, "b": 1.5}
    with pytest.raises(FieldError, match="no JSON"):
        read_payload(b'{"a":%b}' % (b"9" * 5_000))


async def test_processes_get_their_devices() -> None:
    outcome = await run(handlers.context, {}, executor="process", devices=[7])
    assert outcome.result["device"] == "7"
    assert outcome.result["pid"] != os.getpid()


async def test_threads_are_as_many_as_slots_and_nobody_elses() -> None:
    def handler(_payload: Any) -> str:
        return threading.current_thread().name

    assert (await run(handler, {})).result == "inferry-work-0"
    assert (await run(handler, {}, executor="serial")).result == "inferry-serial-0"


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_a_setup_that_fails_keeps_the_backend_from_starting(executor: str) -> None:
    with pytest.raises(SetupError, match="RuntimeError: no such model"):
        await run(handlers.echo, {}, executor=executor, setup=handlers.setup_that_fails)


async def test_a_setup_runs_in_the_child_that_does_the_work() -> None:
    outcome = await run(loaded, {}, executor="process", setup=load)
    assert outcome.result == "model"
    assert not MODELS


MODELS: list[str] = []


async def load() -> None:
    MODELS.append("model")


def loaded(_payload: Any) -> str:
    return MODELS[0]


async def test_a_handler_that_a_child_cannot_import_keeps_the_backend_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loaded, "__module__", "handlers_of_nobody")
    with pytest.raises(SetupError, match="handlers_of_nobody"):
        await run(loaded, {}, executor="process")
