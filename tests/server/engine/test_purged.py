"""What comes too late for a task that was purged meanwhile changes and breaks nothing."""

from pathlib import Path

import pytest

from inferry.server.errors import PurgedError
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Succeed
from inferry.server.task.record import AttemptOutcome
from tests.backends import SUCCESS, running_backend
from tests.gateways import Running, ShiftedClock, running_gateway


async def purged(gateway: Running, clock: ShiftedClock) -> str:
    """Gives the id of a task that has ended and is gone."""
    task = await gateway.create(resultTtl=1)
    await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    clock.shift_ms += 1_000
    # Whether this purges it or the sweeper has: it is gone then.
    await gateway.gateway._cases.engine.purge(10, 60_000)
    status, _ = await gateway.call("GET", f"/api/tasks/{task['id']}")
    assert status == 410
    return str(task["id"])


@pytest.mark.parametrize("given", [Succeed(b"1"), Failure(AttemptOutcome.AMBIGUOUS, "late")])
async def test_the_answer_of_its_server_is_passed_over(
    tmp_path: Path, given: Succeed | Failure
) -> None:
    clock = ShiftedClock()
    async with running_gateway(tmp_path, clock=clock) as gateway:
        await gateway.gateway._cases.engine.answer(await purged(gateway, clock), 1, given)


async def test_it_does_not_seem_to_have_ended_with_nothing(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with (
        running_backend(SUCCESS) as backend,
        running_gateway(tmp_path, clock=clock) as gateway,
    ):
        await gateway.register(backend)
        cases = gateway.gateway._cases
        task = await gateway.create(resultTtl=1)
        ended = await cases.reader.wait(task["id"], None, 10)
        _, outcome = await cases.reader.ended(ended)
        assert outcome.result is not None
        clock.shift_ms += 1_000
        await cases.engine.purge(10, 60_000)
        for tombstone_ms in (60_000, 0):
            # Also when nothing tells any more that it was there.
            clock.shift_ms += 1_000
            await cases.engine.purge(10, tombstone_ms)
            with pytest.raises(PurgedError):
                await cases.reader.ended(ended)


async def test_its_timeouts_are_passed_over(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running_gateway(tmp_path, clock=clock) as gateway:
        task_id = await purged(gateway, clock)
        await gateway.gateway._cases.engine.expire(task_id)
        status, body = await gateway.call("GET", f"/api/tasks/{task_id}")
        assert (status, body["code"]) == (410, "GONE")
