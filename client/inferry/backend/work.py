"""Calls a handler, and makes of whatever comes of it the last report."""

import inspect
from contextlib import AbstractContextManager

from inferry.backend import words
from inferry.backend.context import TaskContext
from inferry.backend.errors import TaskError
from inferry.backend.executors import Job
from inferry.v1.task_pb2 import TaskUpdate
from inferry.wire.errors import FieldError


async def run_coroutine(job: Job) -> TaskUpdate | None:
    """Runs a coroutine function to its end; None if it stopped because it was cancelled."""
    task = job.context(raises=False)
    try:
        payload = words.read_payload(job.assignment.payload)
    except FieldError as error:
        return words.unreadable(error)
    try:
        result = await job.handler.call(payload, task)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is of this task alone
        return _raised(error, job, task)
    return words.completed(result, job.result_limit)


def run_function(job: Job, guard: AbstractContextManager[None]) -> TaskUpdate | None:
    """Runs a function to its end; None if it stopped because it was cancelled.

    Args:
        job: What there is to do.
        guard: Stands around the handler's call, and around nothing else.
    """
    task = job.context(raises=True)
    try:
        payload = words.read_payload(job.assignment.payload)
    except FieldError as error:
        return words.unreadable(error)
    try:
        with guard:
            result = job.handler.call(payload, task)
    except BaseException as error:  # noqa: BLE001 - nobody's Ctrl-C comes to where handlers run
        return _raised(error, job, task)
    if inspect.iscoroutine(result):
        result.close()
        return words.failed('the handler gave a coroutine: make it "async def"')
    return words.completed(result, job.result_limit)


def _raised(error: BaseException, job: Job, task: TaskContext) -> TaskUpdate | None:
    if job.cancelled.is_set():
        return None
    if not isinstance(error, TaskError):
        task.log.error("the handler failed", exc_info=error)
    return words.raised(error)
