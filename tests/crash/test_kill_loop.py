"""The kill loop, as often as there is time for; ``make crash N=500`` for more."""

from pathlib import Path

from tests.crash.kill_loop import run

KILLS = 50
SEED = 1


async def test_nothing_is_lost_doubled_or_ended_twice_by_kills(tmp_path: Path) -> None:
    verdict = await run(tmp_path, KILLS, SEED)
    assert not verdict.violations, "\n".join(verdict.violations)
    # It did happen under load.
    assert {"COMPLETED", "FAILED", "CANCELLED"} <= verdict.ends.keys()
    assert verdict.history.unanswered
    assert verdict.history.by_rpc
    assert all(one.messages for one in verdict.history.onlooking)
