"""An inference backend inside a FastAPI application: copy it and put your work into `infer`."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI

from inferry.backend import Backend, RefusedError, TaskContext
from inferry.backend.http import asgi

backend = Backend("fastapi-backend", max_concurrent=10)


@backend.task("test-processing")
async def infer(payload: dict[str, Any], task: TaskContext) -> dict[str, Any]:
    """The work itself. This one counts: `steps` steps of `seconds` each, then maybe it fails."""
    steps = int(payload.get("steps", 3))
    try:
        await task.progress(0, "started")
        for step in range(1, steps + 1):
            await asyncio.sleep(float(payload.get("seconds", 0.1)))
            await task.progress(100 * step / steps, f"step {step} of {steps}")
    except asyncio.CancelledError:
        # Nobody wants the result any more, or its time is over: stop here what you started.
        print("work stopped", flush=True)  # noqa: T201
        raise
    if "fail" in payload:
        raise RuntimeError(payload["fail"])
    return {"steps": steps, "echo": payload}


def application(url: str) -> FastAPI:
    """Makes the application, with routes of its own and those that the gateway calls."""
    inference = asgi(
        backend,
        # Without a gateway in the environment somebody else registers it.
        gateway=os.environ.get("GATEWAY_URL"),
        url=url,
        on_ready=lambda url, _id: print(f"backend ready url={url}", flush=True),  # noqa: T201
        # It has said why: without the backend there is nothing to serve here.
        on_refused=lambda _why: signal.raise_signal(signal.SIGTERM),
    )
    app = FastAPI(lifespan=inference.lifespan)

    @app.get("/version")
    async def version() -> dict[str, str]:
        return {"version": "1"}

    app.mount("/", inference)
    return app


def main() -> None:
    # Listening before registering: the gateway may call at once.
    try:
        listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))
        app = application(f"http://127.0.0.1:{listener.getsockname()[1]}")
    except (OSError, RefusedError) as error:
        sys.exit(f"it cannot start: {error}")
    config = uvicorn.Config(app, log_level="warning")
    # Raised by uvicorn when it has ended in order after Ctrl-C.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
