"""What became of an attempt, as those who test a backend look at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from inferry.v1.task_pb2 import Task, TaskUpdate


@dataclass(slots=True)
class Outcome:
    """What became of an attempt."""

    #: ``COMPLETED``, ``FAILED``, ``TIMEOUT`` or ``CANCELLED``; empty before its end.
    status: str = ""
    #: The result, as JSON reads it.
    result: Any = None
    #: Percent and message of each progress report, in order.
    progress: list[tuple[float | None, str | None]] = field(default_factory=list)
    #: One line for a person; empty without an error.
    error: str = ""
    #: One word for a program.
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    retryable: bool = False
    #: How the attempt was lost, such as ``PROCESS_DIED``; empty if it was not.
    loss: str = ""
    #: Seconds by which it asked to be extended, report by report.
    extensions: list[float] = field(default_factory=list)

    def note(self, update: TaskUpdate) -> None:
        """Takes a report in."""
        if update.status == Task.PROCESSING:
            if update.HasField("progress") or update.HasField("message"):
                percent = update.progress if update.HasField("progress") else None
                message = update.message if update.HasField("message") else None
                self.progress.append((percent, message))
            if update.extend_ms:
                self.extensions.append(update.extend_ms / 1_000)
            return
        self.status = Task.Status.Name(update.status)
        self.error, self.code, self.retryable = update.error, update.code, update.retryable
        if update.HasField("result_json"):
            self.result = orjson.loads(update.result_json)
        if update.HasField("details_json"):
            self.details = orjson.loads(update.details_json)
        if update.loss:
            self.loss = TaskUpdate.Loss.Name(update.loss)
