"""What the gateway tells of a call before its answer, as initial metadata of gRPC."""

from typing import Final

#: The id of the task that the call created, and whose end it waits for.
TASK_ID: Final = "inferry-task-id"
