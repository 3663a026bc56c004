"""What is done to a database under load, as often as there is time for."""

from pathlib import Path

from tests.crash.database_loop import ROOM, Harm, run
from tests.postgres import database, postgres_server

ROUNDS = 1
SEED = 1


async def test_nothing_is_lost_by_what_is_done_to_the_database(tmp_path: Path) -> None:
    with postgres_server() as server:
        server.stop()
        server.start(**ROOM)
        async with database(server.url) as url:
            verdict = await run(tmp_path, server, url, ROUNDS, SEED)
    assert not verdict.violations, "\n".join(verdict.violations)
    # It did happen under load.
    assert {"COMPLETED", "FAILED", "CANCELLED"} <= verdict.ends.keys()
    assert verdict.history.broken
    assert set(Harm) <= set(verdict.history.kills)
    assert all(one.messages for one in verdict.history.onlooking)
