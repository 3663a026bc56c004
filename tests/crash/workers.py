"""Real HTTP backends that outlive the gateways: they tell one what they did until it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import aiohttp
import yarl
from aiohttp import web

from tests.backends import Backend, Job, running_backend
from tests.crash.gateways import Gateways
from tests.crash.history import PLANNED, History, Plan, Run, Told
from tests.crash.moments import Moment, Moments

#: Between two tries of a report.
_PAUSE_S = 0.05
#: How long a report may take: longer than any restart.
_REPORT_TIMEOUT = aiohttp.ClientTimeout(total=10)
_BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
#: Answers after which a report is not repeated.
_HEARD = frozenset({200, 404, 409, 410})


class Worker:
    """One backend. What it does with a task stands in the payload."""

    def __init__(self, name: str, gateways: Gateways, history: History, moments: Moments) -> None:
        self._name = name
        self._urls = cycle(gateways.rest)
        self._shared = gateways.shared
        self._history = history
        self._moments = moments
        self._http = aiohttp.ClientSession(timeout=_REPORT_TIMEOUT)
        self._working: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Event()

    def open_gate(self, *, for_good: bool = False) -> None:
        """Lets all that wait to report together do so; who comes later waits for the next time."""
        self._gate.set()
        if not for_good:
            self._gate = asyncio.Event()

    async def close(self) -> None:
        """Drops all work."""
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._http.close()

    async def __call__(self, job: Job) -> web.StreamResponse:
        """Answers a dispatch."""
        self._moments.pass_by(Moment.DISPATCH)
        plan = Plan(job["payload"]["plan"])
        refused = plan is Plan.REFUSE and job["attempt"] == 1
        self._history.runs.append(Run(job["id"], job["attempt"], self._name, refused))
        if refused:
            return web.Response(status=503, headers={"Retry-After": "0"})
        if job["callback_url"] is None:
            await asyncio.sleep(job["payload"]["seconds"])
            return web.json_response(_answer(self._outcome(job, plan)))
        work = asyncio.create_task(self._work(job, plan))
        self._working.add(work)
        work.add_done_callback(self._done)
        # Meanwhile the gateway does not know whether it was heard; reports may come first.
        await asyncio.sleep(job["payload"]["hesitates"])
        return web.json_response({"status": "accepted"})

    def _done(self, work: asyncio.Task[None]) -> None:
        self._working.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            self._history.surprises.append(f"{self._name}: {error!r}")

    async def _work(self, job: Job, plan: Plan) -> None:
        steps = job["payload"]["steps"]
        for step in range(1, steps + 1):
            await asyncio.sleep(job["payload"]["seconds"] / steps)
            message = f"attempt {job['attempt']}, step {step}"
            progress = {"status": "PROCESSING", "progress": step * 50 / steps, "message": message}
            answer = await self._tell(job, progress)
            if answer is None or answer.get("cancelled"):
                return
        if plan is Plan.BURST:
            await self._gate.wait()
            self._moments.pass_by(Moment.BURST)
        await self._tell(job, self._outcome(job, plan))

    def _outcome(self, job: Job, plan: Plan) -> dict[str, Any]:
        if plan is Plan.FAIL or (plan is Plan.AGAIN and job["attempt"] == 1):
            retryable = plan is Plan.AGAIN
            return {"status": "FAILED", "error": plan, "code": PLANNED, "retryable": retryable}
        result = {"number": job["payload"]["number"], "attempt": job["attempt"]}
        return {"status": "COMPLETED", "result": {**result, "worker": self._name}}

    async def _tell(self, job: Job, said: dict[str, Any]) -> dict[str, Any] | None:
        """Reports until the gateway answers; gives its answer, or None if it wants none of it."""
        while True:
            self._moments.pass_by(Moment.REPORT)
            # Any of them takes a report, as if they stood behind one proxy.
            url = yarl.URL(next(self._urls)).join(yarl.URL(job["callback_url"]).relative())
            try:
                async with self._http.put(url, json=said) as response:
                    answer, code = await response.json(), response.status
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(_PAUSE_S)
                continue
            except _BROKEN as error:
                self._history.broken.append(f"report on {job['id']}: {error!r}")
                await asyncio.sleep(_PAUSE_S)
                continue
            if code in _HEARD:
                told = Told(job["id"], job["attempt"], said, code, answer)
                self._history.told.append(told)
                return dict(answer) if code == 200 else None
            noted = f"report on {job['id']}: {code} {answer}"
            leaves = self._shared and code == 503
            (self._history.broken if leaves else self._history.surprises).append(noted)
            await asyncio.sleep(_PAUSE_S)


def _answer(outcome: dict[str, Any]) -> dict[str, Any]:
    """Says a final report in the words of a synchronous answer."""
    if outcome["status"] == "COMPLETED":
        return {"status": "success", "result": outcome["result"]}
    return {**outcome, "status": "error"}


@asynccontextmanager
async def running_worker(
    name: str, gateways: Gateways, history: History, moments: Moments
) -> AsyncIterator[tuple[Worker, Backend]]:
    """Runs a worker on a free port."""
    worker = Worker(name, gateways, history, moments)
    try:
        async with running_backend(worker) as backend:
            yield worker, backend
    finally:
        await worker.close()
