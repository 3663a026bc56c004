"""What the gateway tells of a call before its answer, as initial metadata of gRPC."""

from typing import Final

#: The id of the task that the call created, and whose end it waits for: for callers who ask for it
#: by metadata of this name, whatever it says.
TASK_ID: Final = "inferry-task-id"
