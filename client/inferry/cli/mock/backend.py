"""The mock backend: the guide's HTTP contract, with work that does what its payload says."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import structlog
from aiohttp import web

from inferry.cli.mock.delivery import RefusedError, call
from inferry.cli.mock.load import cpu_percent, memory_percent
from inferry.cli.mock.script import End, Script, ScriptError, read_script
from inferry.wire.errors import FieldError
from inferry.wire.members import members
from inferry.wire.text import parse

_log = structlog.get_logger(__name__)

#: Status of the process that a script let crash.
CRASHED = 70

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of one task, as ``POST /process`` hands it over."""

    id: str
    #: 1 where the gateway does not say.
    attempt: int
    script: Script
    #: None when the answer itself is to carry the result.
    callback_url: str | None
    #: How long the gateway gives it.
    timeout_s: float


class MockBackend:
    """Takes jobs, works on so many at once, and lets the others wait.

    Args:
        http: Carries the callbacks.
        capabilities: What ``/health`` names.
        max_concurrent: Jobs to work on at once.
    """

    def __init__(
        self, http: aiohttp.ClientSession, capabilities: Sequence[str], max_concurrent: int
    ) -> None:
        self._http = http
        self._capabilities = list(capabilities)
        self._slots = asyncio.Semaphore(max_concurrent)
        self._running: dict[tuple[str, int], asyncio.Task[Report]] = {}
        self._active = 0
        self._rounds: Counter[str] = Counter()

    def application(self) -> web.Application:
        """Makes the HTTP application."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/process", self._process)
        app.router.add_post("/cancel", self._cancel)
        app.router.add_get("/health", self._health)
        return app

    async def close(self) -> None:
        """Stops all work."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _process(self, request: web.Request) -> web.Response:
        try:
            job = _job(await request.read())
        except (ScriptError, FieldError, KeyError, TypeError, ValueError) as error:
            return _answer({"status": "error", "error": str(error), "code": "INVALID_PAYLOAD"})
        _log.info("task taken", task=job.id, attempt=job.attempt)
        key = job.id, job.attempt
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._work(job))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))
        if job.callback_url is not None:
            return _answer({"status": "accepted", "message": "Task queued for processing"})
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # The gateway hung up: nobody wants the result.
            task.cancel()
            raise
        return _answer(_reply(_CANCELLED if task.cancelled() else task.result()))

    async def _cancel(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        task = self._running.get((body["id"], body.get("attempt", 1)))
        if task is not None:
            task.cancel()
        return _answer({"cancelled": task is not None})

    async def _health(self, _request: web.Request) -> web.Response:
        load = {
            "cpu": cpu_percent(),
            "memory": memory_percent(),
            "active_tasks": self._active,
            "queue_length": len(self._running) - self._active,
        }
        return _answer(
            {
                "status": "healthy",
                "timestamp": time.time_ns() // 1_000_000,
                "load": load,
                "capabilities": self._capabilities,
            }
        )

    async def _work(self, job: Job) -> Report:
        """Does the job and reports it; gives the last report."""
        async with self._slots:
            self._active += 1
            try:
                # Who hangs does not look at the clock, either.
                hangs = job.script.end is End.HANG
                async with asyncio.timeout(None if hangs else job.timeout_s):
                    report = await self._perform(job)
            except TimeoutError:
                report = _failure("TIMEOUT", "the mock's time ran out", "TIMEOUT")
            except _StopError:
                return _CANCELLED
            finally:
                self._active -= 1
        await self._tell(job, report)
        return report

    async def _perform(self, job: Job) -> Report:
        script = job.script
        for step in range(1, script.steps + 1):
            await asyncio.sleep(script.seconds / script.steps)
            if script.end is End.CRASH and 2 * step >= script.steps:
                os._exit(CRASHED)
            progress = {
                "status": "PROCESSING",
                "progress": round(100 * step / script.steps, 1),
                "message": f"step {step} of {script.steps}",
            }
            if not await self._tell(job, progress):
                raise _StopError
        if not script.steps:
            await asyncio.sleep(script.seconds)
        return await self._end(job)

    async def _end(self, job: Job) -> Report:
        script = job.script
        if self._rounds[job.id] < script.flaky:
            self._rounds[job.id] += 1
            text = f"round {self._rounds[job.id]} of {script.flaky} that fail"
            return {**_failure("FAILED", text, script.code), "retryable": True}
        match script.end:
            case End.COMPLETE:
                return {"status": "COMPLETED", "result": orjson.Fragment(script.result)}
            case End.FAIL:
                return _failure("FAILED", script.error, script.code)
            case End.TIMEOUT:
                return _failure("TIMEOUT", script.error, script.code)
            case End.CRASH:
                os._exit(CRASHED)
            case End.HANG:
                await asyncio.Event().wait()
        raise _StopError

    async def _tell(self, job: Job, report: Report) -> bool:
        """Sends a callback; False when the gateway wants no more of this job."""
        if job.callback_url is None:
            return True
        try:
            answer = await call(self._http, "PUT", job.callback_url, report)
        except RefusedError as error:
            _log.warning("report refused", task=job.id, attempt=job.attempt, reason=str(error))
            return False
        return not answer.get("cancelled", False)


_CANCELLED: Report = {"status": "CANCELLED", "error": "cancelled", "code": "CANCELLED"}


class _StopError(Exception):
    """The gateway wants no more of the job."""


def _job(body: bytes) -> Job:
    # The payload stays the text that it is: who tries the gateway out sees what becomes of it.
    given = members(body)
    fields = {name: parse(text) for name, text in given.items() if name != "payload"}
    return Job(
        id=str(fields["id"]),
        attempt=int(fields.get("attempt", 1)),
        script=read_script(given.get("payload", b"{}")),
        callback_url=fields.get("callback_url"),
        timeout_s=float(fields.get("timeout", 300_000)) / 1_000,
    )


def _failure(status: str, error: str, code: str) -> Report:
    return {"status": status, "error": error, "code": code}


def _reply(report: Report) -> Report:
    """Says a last report in the words of a synchronous answer."""
    if report["status"] == "COMPLETED":
        return {"status": "success", "result": report["result"]}
    return {**report, "status": "error"}


def _answer(body: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
