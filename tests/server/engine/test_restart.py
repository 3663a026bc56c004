"""What a start does with attempts that an earlier gateway left open."""

from dataclasses import replace
from typing import Any, cast

import pytest

from inferry.server.engine.restart import end_cut_attempts
from inferry.server.engine.tasks import Engine
from inferry.server.fleet.record import Transport
from inferry.server.task.inputs import Claim
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import TaskRecord
from tests.server.fleets import fleet_of, server
from tests.server.rules import TASK_RULES
from tests.server.situations import SPEC


class Left:
    """What a store has that knows one open attempt, and the engine that is told to end it."""

    def __init__(self, record: TaskRecord) -> None:
        self._record = record
        self.ended: list[str] = []

    async def answer(self, task_id: str, attempt: int, answer: Any) -> None:
        assert attempt == self._record.attempt
        assert answer.error
        self.ended.append(task_id)


@pytest.mark.parametrize(
    ("transport", "waited_for", "ends"),
    [
        (Transport.HTTP, True, True),
        (Transport.HTTP, False, False),
        (Transport.GRPC, True, False),
        (Transport.GRPC, False, False),
    ],
)
async def test_an_attempt_ends_whose_call_was_cut_and_what_a_worker_has_goes_on(
    transport: Transport, *, waited_for: bool, ends: bool
) -> None:
    spec = SPEC._replace(asynchronous=not waited_for)
    record, _ = create(spec, 0)
    claimed = apply(record, Claim("srv_a"), spec.created_ms, TASK_RULES).record
    fleet, _ = fleet_of(replace(server(), transport=transport))
    left = Left(claimed)
    await end_cut_attempts(cast("Engine", left), [claimed], fleet)
    assert bool(left.ended) is ends
