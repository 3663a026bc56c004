"""Kills gateways and their workers under load, again and again, or does so to their database.

python -m tests.crash --runs 500
python -m tests.crash --store postgres --tasks 5000
python -m tests.crash --store postgres --chaos 5 --clients 48
"""

# ruff: noqa: T201 - it prints what it found

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

from tests.crash import database_loop, kill_loop, replica_loop
from tests.crash.load import CLIENTS
from tests.crash.verdict import Verdict
from tests.postgres import URL, database, postgres_server


def main() -> int:
    """Runs the loop; the exit status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="kills (default: 50)")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument(
        "--tasks", type=int, default=5_000, help="tasks of the replicas (default: 5000)"
    )
    parser.add_argument(
        "--chaos", type=int, default=0, help="how often each thing is done to the database instead"
    )
    parser.add_argument(
        "--clients", type=int, default=CLIENTS, help=f"of that (default: {CLIENTS})"
    )
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="inferry-crash-") as directory:
        verdict = asyncio.run(_run(Path(directory), given))
    for violation in verdict.violations:
        print(violation)
    print(verdict.summary())
    return 1 if verdict.violations else 0


async def _run(directory: Path, given: argparse.Namespace) -> Verdict:
    if given.store == "sqlite":
        return await kill_loop.run(directory, given.runs, given.seed)
    if given.chaos:
        return await _chaos(directory, given)
    with ExitStack() as stack:
        server = URL or stack.enter_context(postgres_server()).url
        async with database(server) as url:
            return await replica_loop.run(directory, url, given.tasks, given.seed)


async def _chaos(directory: Path, given: argparse.Namespace) -> Verdict:
    # One of its own, whatever others there are: it is stopped and crashes.
    with postgres_server() as server:
        server.stop()
        server.start(**database_loop.ROOM)
        async with database(server.url) as url:
            return await database_loop.run(
                directory, server, url, given.chaos, given.seed, given.clients
            )


if __name__ == "__main__":
    sys.exit(main())
