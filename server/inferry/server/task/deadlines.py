"""The four timeouts of a task: queue wait, attempt, silence and total. Pure.

Each of them ends a task with TIMEOUT and tells so in ``details.phase``. Only the nearest one runs:
``TaskRecord.deadline_ms`` is when it ends. (Design section 6.)
"""

from inferry.server.task.inputs import Expire
from inferry.server.task.record import TaskRecord, TaskSpec
from inferry.server.task.rules import TaskRules


def queue_deadline(spec: TaskSpec, since_ms: int, total_deadline_ms: int) -> int:
    """Tells when a task has waited long enough for a server, from ``since_ms`` on."""
    return min(since_ms + spec.queue_timeout_ms, total_deadline_ms)


def run_deadline(
    spec: TaskSpec, attempt_deadline_ms: int, total_deadline_ms: int, heard_ms: int
) -> int:
    """Tells when an attempt has to end if its server says nothing after ``heard_ms``."""
    deadline = min(attempt_deadline_ms, total_deadline_ms)
    if spec.silence_timeout_ms:
        deadline = min(deadline, heard_ms + spec.silence_timeout_ms)
    return deadline


def expiry(record: TaskRecord, now_ms: int, rules: TaskRules, held_up_by: str = "") -> Expire:
    """Tells which timeout of a task ran out; call it when ``deadline_ms`` is over.

    Args:
        record: The task.
        now_ms: The time.
        rules: The numbers.
        held_up_by: What keeps a task that waits from a server, in a sentence, if anything does.
    """
    spec = record.spec
    # Of a synchronous task that ran at once both are over in the same moment.
    had_all = record.attempt_deadline_ms == record.started_ms + spec.timeout_ms + rules.grace_ms
    if now_ms >= record.total_deadline_ms and not (record.running and had_all):
        phase, error = "total", f"the task did not end within {spec.total_timeout_ms} ms"
    elif record.waiting:
        phase, error = "queue", f"no server took the task within {spec.queue_timeout_ms} ms"
    elif now_ms >= record.attempt_deadline_ms:
        phase, error = "attempt", f"the server did not finish within {spec.timeout_ms} ms"
    else:
        phase, error = "silence", f"the server said nothing for {spec.silence_timeout_ms} ms"
    if held_up_by and record.waiting:
        error = f"{error}: {held_up_by}"
    return Expire(error, details=b'{"phase":"%b"}' % phase.encode())
