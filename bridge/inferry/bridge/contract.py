"""Where the guide wants something else than canonical proto3 JSON (design section 5).

Everything else about REST follows from the descriptors and their ``google.api.http`` annotations.
"""

#: Enums that are spelled in lower case over HTTP: ``"status": "active"``.
LOWER_CASE_ENUMS = frozenset({"inferry.v1.Server.Status"})

#: Messages that backends send. They may say more than is known here, and say a text as anything.
LENIENT_MESSAGES = frozenset({"inferry.v1.TaskUpdate"})

#: Fields that are printed only when they say something.
PRINTED_WHEN_SET = frozenset({"inferry.v1.UpdateTaskResponse.cancelled"})

#: Kinds of events that have no number of their own: a client goes on after the event before.
UNNUMBERED_EVENTS = frozenset({"QUEUED"})

#: The RPC whose answer depends on whether its caller waits.
CREATE_RPC = "inferry.v1.TaskService.CreateTask"

#: The header that names a creation, and the one that tells that its name was known.
KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"

#: The RPC that a ``Prefer: wait=N`` on a creation waits with.
READ_RPC = "inferry.v1.TaskService.GetTask"

#: The RPC that takes results, which may be larger than any other request.
CALLBACK_RPC = "inferry.v1.TaskService.UpdateTask"
