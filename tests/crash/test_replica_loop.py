"""The loop over replicas, as often as there is time for; ``make crash STORE=postgres`` for more."""

from pathlib import Path

from tests.crash.replica_loop import Harm, run

TASKS = 400
SEED = 1


async def test_nothing_is_lost_doubled_or_ended_twice_among_replicas_that_come_and_go(
    postgres_url: str, tmp_path: Path
) -> None:
    verdict = await run(tmp_path, postgres_url, TASKS, SEED)
    assert not verdict.violations, "\n".join(verdict.violations)
    # It did happen under load.
    assert {"COMPLETED", "FAILED", "CANCELLED"} <= verdict.ends.keys()
    assert verdict.history.by_rpc
    assert set(Harm) <= set(verdict.history.kills)
    assert all(one.messages for one in verdict.history.onlooking)
