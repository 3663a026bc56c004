"""The situations that a task can be in, and what leads there."""

from collections.abc import Mapping, Sequence

from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Expire,
    Fail,
    Hold,
    Input,
    Misreport,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, TaskRecord, TaskSpec
from tests.server.rules import TASK_RULES

RULES = TASK_RULES
CREATED_MS = 1_704_067_200_000
SPEC = TaskSpec(
    "task_1",
    "acme",
    "echo",
    (),
    b"{}",
    asynchronous=True,
    priority=0,
    timeout_ms=300_000,
    queue_timeout_ms=300_000,
    silence_timeout_ms=0,
    total_timeout_ms=86_400_000,
    result_ttl_ms=0,
    max_attempts=3,
    idempotent=False,
    created_ms=CREATED_MS,
)

CLAIM = Claim("srv_1")
LOST = Release("lost", AttemptOutcome.AMBIGUOUS, CREATED_MS + 1_000)
WAITING = frozenset({Claim, Hold, Fail, Expire, Cancel})
OPEN = frozenset({Accept, Progress, Misreport, Succeed, Fail, Release, Expire, Cancel})
ENDED, MAY_BE_LATE = frozenset({Retry}), frozenset({Retry, Succeed})
EXPIRED = Expire("too slow")
#: What leads there, and what is legal there.
SITUATIONS: Mapping[str, tuple[Sequence[Input], frozenset[type[Input]]]] = {
    "waiting": ([], WAITING),
    "waiting again": ([CLAIM, Progress(70.0), LOST], WAITING),
    "dispatched": ([CLAIM], OPEN),
    "processing": ([CLAIM, Accept()], OPEN),
    "completed": ([CLAIM, Succeed(b"1", b"report")], frozenset()),
    "failed": ([CLAIM, Fail("broken", "INTERNAL_ERROR")], ENDED),
    "timed out in the queue": ([EXPIRED], ENDED),
    "timed out in the queue again": ([CLAIM, LOST, EXPIRED], MAY_BE_LATE),
    "timed out by the gateway": ([CLAIM, Accept(), EXPIRED], MAY_BE_LATE),
    "timed out by the backend": ([CLAIM, EXPIRED._replace(digest=b"report")], ENDED),
    "timed out, late result kept": ([CLAIM, EXPIRED, Succeed(b"1", b"report")], ENDED),
    "cancelled": ([CLAIM, Cancel()], ENDED),
}


def lead_to(situation: str) -> TaskRecord:
    record, _ = create(SPEC, 0)
    for step in SITUATIONS[situation][0]:
        record = apply(record, step, CREATED_MS, RULES).record
    return record
