"""An inference backend on FastAPI: copy it and put your work into `infer`."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request

CAPABILITIES = ["test-processing"]
MAX_CONCURRENT = 10

app = FastAPI()
#: The work under way, by task and attempt.
running: dict[tuple[str, int], asyncio.Task[dict[str, Any]]] = {}

Report = Callable[[float, str], Awaitable[None]]


async def infer(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """The work itself. This one counts: `steps` steps of `seconds` each, then maybe it fails."""
    steps = int(payload.get("steps", 3))
    try:
        # Also asks whether it is still wanted: a cancel may have overtaken the task.
        await report(0, "started")
        for step in range(1, steps + 1):
            await asyncio.sleep(float(payload.get("seconds", 0.1)))
            await report(100 * step / steps, f"step {step} of {steps}")
    except asyncio.CancelledError:
        # Nobody wants the result any more, or its time is over: stop here what you started.
        print("work stopped", flush=True)  # noqa: T201
        raise
    if "fail" in payload:
        raise RuntimeError(payload["fail"])
    return {"steps": steps, "echo": payload}


@app.post("/process")
async def process_task(job: dict[str, Any], request: Request) -> dict[str, Any]:
    if job.get("callback_url"):
        start(job, process_async(job))
        return {"status": "accepted", "message": "Task queued for processing"}
    work = start(job, run(job, no_report))
    watching = asyncio.create_task(stop_when_gone(request, work))
    await asyncio.wait({work})
    watching.cancel()
    if work.cancelled():
        return {"status": "error", "error": "cancelled", "code": "CANCELLED"}
    report = work.result()
    if report["status"] == "COMPLETED":
        return {"status": "success", "result": report["result"]}
    return {**report, "status": "error"}


async def process_async(job: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:

        async def report(percent: float, message: str) -> None:
            body = {"status": "PROCESSING", "progress": percent, "message": message}
            answer = await send(client, "PUT", job["callback_url"], body)
            # 409: it ended meanwhile, or another attempt runs. `cancelled`: it was cancelled.
            if answer.status_code == httpx.codes.CONFLICT or answer.json().get("cancelled"):
                raise asyncio.CancelledError

        final = await run(job, report)
        await send(client, "PUT", job["callback_url"], final)
        return final


async def run(job: dict[str, Any], report: Report) -> dict[str, Any]:
    """Works within the time that the task has; gives its last report."""
    timeout_s = job["timeout"] / 1000
    try:
        async with asyncio.timeout(timeout_s):
            return {"status": "COMPLETED", "result": await infer(job["payload"], report)}
    except TimeoutError:
        return {"status": "TIMEOUT", "error": f"not done in {timeout_s:g} s", "code": "TIMEOUT"}
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the gateway is told
        return {"status": "FAILED", "error": str(error), "code": "INTERNAL_ERROR"}


@app.post("/cancel")
async def cancel_task(job: dict[str, Any]) -> dict[str, Any]:
    work = running.get(key_of(job))
    if work is not None:
        work.cancel()
    return {"cancelled": work is not None}


def start(
    job: dict[str, Any], work: Coroutine[Any, Any, dict[str, Any]]
) -> asyncio.Task[dict[str, Any]]:
    """Starts some work where `/cancel` finds it."""
    key = key_of(job)
    task = running[key] = asyncio.create_task(work)
    task.add_done_callback(lambda _: running.pop(key, None))
    return task


def key_of(job: dict[str, Any]) -> tuple[str, int]:
    """Tells one attempt of a task from the next, which may run here, too."""
    return job["id"], job.get("attempt", 1)


async def stop_when_gone(request: Request, work: asyncio.Task[dict[str, Any]]) -> None:
    """Stops the work of a synchronous task when the gateway hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    work.cancel()


@app.get("/health")
async def health_check() -> dict[str, Any]:
    free = os.sysconf("SC_AVPHYS_PAGES") / os.sysconf("SC_PHYS_PAGES")
    return {
        "status": "healthy",
        "timestamp": int(time.time() * 1000),
        "load": {
            "cpu": round(100 * os.getloadavg()[0] / (os.cpu_count() or 1), 1),
            "memory": round(100 * (1 - free), 1),
            "active_tasks": len(running),
            "queue_length": 0,
        },
        "capabilities": CAPABILITIES,
    }


async def send(
    client: httpx.AsyncClient, method: str, url: str, body: Any, token: str = ""
) -> httpx.Response:
    """Sends until the gateway answers: a callback that is lost is work that is lost."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for pause_s in (0.2, 0.5, 1, 2, 4, 8):
        try:
            answer = await client.request(method, url, json=body, headers=headers)
        except httpx.TransportError:
            pass
        else:
            if not answer.is_server_error:
                return answer
        await asyncio.sleep(pause_s)
    return await client.request(method, url, json=body, headers=headers)


async def register(url: str) -> None:
    """Tells the gateway where we are, if the environment tells us where the gateway is."""
    gateway, token = os.environ.get("GATEWAY_URL"), os.environ.get("INFERRY_TOKEN", "")
    if gateway:
        body = {
            "url": url,
            "name": "fastapi-backend",
            "capabilities": CAPABILITIES,
            "maxConcurrent": MAX_CONCURRENT,
        }
        async with httpx.AsyncClient() as client:
            answer = await send(client, "POST", f"{gateway}/api/servers/register", body, token)
            answer.raise_for_status()
    print(f"backend ready url={url}", flush=True)  # noqa: T201


async def no_report(percent: float, message: str) -> None:
    """A synchronous task has nowhere to report to."""


async def main() -> None:
    # Listening before registering: the gateway may call at once.
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    port = listener.getsockname()[1]
    await asyncio.gather(server.serve([listener]), register(f"http://127.0.0.1:{port}"))


if __name__ == "__main__":
    asyncio.run(main())
