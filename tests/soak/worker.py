"""The worker of a soak: ``python -m tests.soak.worker HOST:PORT TOKEN``."""

import asyncio
import sys
from typing import Any

from inferry.backend import Backend, TaskContext
from inferry.backend.grpc import connect

TYPE, THREAD_TYPE = "soak", "soak-thread"
_SLOTS = 20


def main() -> None:
    """Works until it is ended."""
    address, token = sys.argv[1:]
    app = Backend("soak", max_concurrent=_SLOTS)

    @app.task(TYPE)
    async def work(payload: dict[str, Any], task: TaskContext) -> dict[str, Any]:
        for step in range(4):
            await task.progress(25.0 * step, f"step {step}")
            await asyncio.sleep(payload["seconds"] / 4)
        return {"number": payload["number"], "filling": payload["filling"]}

    @app.task(THREAD_TYPE, executor="thread")
    def work_in_a_thread(payload: dict[str, Any], task: TaskContext) -> dict[str, Any]:
        task.progress(50.0, "half way")
        return {"number": payload["number"]}

    print("ready", flush=True)  # noqa: T201
    connect(app, address, token=token)


if __name__ == "__main__":
    main()
