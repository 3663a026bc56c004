"""Kills a gateway and its workers under load, again and again.

python -m tests.crash --runs 500
"""

# ruff: noqa: T201 - it prints what it found

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.crash.kill_loop import run


def main() -> int:
    """Runs the loop; the exit status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="kills (default: 50)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="inferry-crash-") as directory:
        verdict = asyncio.run(run(Path(directory), given.runs, given.seed))
    for violation in verdict.violations:
        print(violation)
    print(verdict.summary())
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
