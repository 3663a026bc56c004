"""A worker as people write them, on the backend SDK: it is killed, frozen and cut off.

python -m tests.crash.streamed_worker HOST:PORT TOKEN NAME SLOTS RECORD

What it begins, it writes to RECORD first, a line each: the task and the attempt.
"""

import asyncio
import os
import sys
from typing import Any

from inferry.backend import Backend, TaskContext, TaskError
from inferry.backend.grpc import connect
from tests.crash.clients import TYPE
from tests.crash.history import PLANNED, Plan


def main() -> None:
    """Works until it is ended."""
    address, token, name, slots, record = sys.argv[1:]
    app = Backend(name, max_concurrent=int(slots))
    file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @app.task(TYPE)
    async def work(payload: dict[str, Any], task: TaskContext) -> dict[str, Any]:
        os.write(file, f"{task.id} {task.attempt}\n".encode())
        plan, steps = Plan(payload["plan"]), payload["steps"]
        for step in range(1, steps + 1):
            await asyncio.sleep(payload["seconds"] / steps)
            await task.progress(step * 50 / steps, f"attempt {task.attempt}, step {step}")
        if plan is Plan.FAIL or (plan is Plan.AGAIN and task.attempt == 1):
            raise TaskError(PLANNED, plan, retryable=plan is Plan.AGAIN)
        return {"number": payload["number"], "attempt": task.attempt, "worker": name}

    connect(app, address, token=token)


if __name__ == "__main__":
    main()
