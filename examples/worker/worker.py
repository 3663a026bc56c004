"""A worker: it dials in, and needs no address of its own. Put your work into `infer`."""

import time
from typing import Any

from inferry.backend import Backend, TaskContext, TaskError
from inferry.backend.grpc import connect

app = Backend("example-worker", max_concurrent=2)
#: What `load` loads, in each process that does the work.
model: dict[str, Any] = {}


@app.setup
def load() -> None:
    """Loads the model; until it has, the worker gets no tasks."""
    model["name"] = "counter"


@app.task("test-processing", executor="process")
def infer(payload: dict[str, Any], task: TaskContext) -> dict[str, Any]:
    """The work itself. This one counts: `steps` steps of `seconds` each, then maybe it fails."""
    steps = int(payload.get("steps", 3))
    for step in range(1, steps + 1):
        time.sleep(float(payload.get("seconds", 0.1)))
        # A cancel stops a process as it is; one that cleans up catches `Cancelled`.
        task.progress(100 * step / steps, f"step {step} of {steps}")
    if "fail" in payload:
        raise TaskError("INVALID_PAYLOAD", payload["fail"])
    return {"model": model["name"], "steps": steps, "echo": payload}


if __name__ == "__main__":
    # Where to, and as whom: INFERRY_ADDRESS and INFERRY_TOKEN.
    connect(app)
