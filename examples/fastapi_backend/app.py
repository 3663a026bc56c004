"""An inference backend on FastAPI: copy it and put your work into `infer`."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import uvicorn
from fastapi import BackgroundTasks, FastAPI

CAPABILITIES = ["test-processing"]
MAX_CONCURRENT = 10

app = FastAPI()
active_tasks = 0

Report = Callable[[float, str], Awaitable[None]]


class StoppedError(Exception):
    """The gateway does not want this task from us any more."""


async def infer(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """The work itself. This one counts: `steps` steps of `seconds` each, then maybe it fails."""
    steps = int(payload.get("steps", 3))
    for step in range(1, steps + 1):
        await asyncio.sleep(float(payload.get("seconds", 0.1)))
        await report(100 * step / steps, f"step {step} of {steps}")
    if "fail" in payload:
        raise RuntimeError(payload["fail"])
    return {"steps": steps, "echo": payload}


@app.post("/process")
async def process_task(
    request: dict[str, Any], background_tasks: BackgroundTasks
) -> dict[str, Any]:
    payload, timeout_s = request["payload"], request["timeout"] / 1000
    callback_url = request.get("callback_url")
    if callback_url:
        background_tasks.add_task(process_async, payload, timeout_s, callback_url)
        return {"status": "accepted", "message": "Task queued for processing"}
    try:
        return {"status": "success", "result": await run(payload, timeout_s, no_report)}
    except TimeoutError:
        return {"status": "error", "error": f"not done in {timeout_s:g} s", "code": "TIMEOUT"}
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the gateway is told
        return {"status": "error", "error": str(error), "code": "INTERNAL_ERROR"}


async def process_async(payload: dict[str, Any], timeout_s: float, callback_url: str) -> None:
    async with httpx.AsyncClient() as client:

        async def report(percent: float, message: str) -> None:
            body = {"status": "PROCESSING", "progress": percent, "message": message}
            answer = await send(client, "PUT", callback_url, body)
            # 409: it ended meanwhile, or another attempt runs. `cancelled`: it was cancelled.
            if answer.status_code == httpx.codes.CONFLICT or answer.json().get("cancelled"):
                raise StoppedError

        try:
            await report(0, "started")
            result = await run(payload, timeout_s, report)
            final = {"status": "COMPLETED", "result": result}
        except StoppedError:
            return
        except TimeoutError:
            final = {"status": "TIMEOUT", "error": f"not done in {timeout_s:g} s"}
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the gateway is told
            final = {"status": "FAILED", "error": str(error), "code": "INTERNAL_ERROR"}
        await send(client, "PUT", callback_url, final)


async def run(payload: dict[str, Any], timeout_s: float, report: Report) -> dict[str, Any]:
    """Counts a task as active while it runs, and ends it when its time is over."""
    global active_tasks  # noqa: PLW0603
    active_tasks += 1
    try:
        async with asyncio.timeout(timeout_s):
            return await infer(payload, report)
    finally:
        active_tasks -= 1


@app.get("/health")
async def health_check() -> dict[str, Any]:
    free = os.sysconf("SC_AVPHYS_PAGES") / os.sysconf("SC_PHYS_PAGES")
    return {
        "status": "healthy",
        "timestamp": int(time.time() * 1000),
        "load": {
            "cpu": round(100 * os.getloadavg()[0] / (os.cpu_count() or 1), 1),
            "memory": round(100 * (1 - free), 1),
            "active_tasks": active_tasks,
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
