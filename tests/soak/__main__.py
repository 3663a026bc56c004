"""Whether anything grows at a steady load: ``python -m tests.soak --seconds 600``.

Exits with 1 if a process has more memory or descriptors in the end than when it had warmed up.
"""

# ruff: noqa: T201 - it prints what it found

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import soak


def main() -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--rate", type=float, default=50, help="tasks a second (default: 50)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inferry-soak-") as directory:
        verdict = asyncio.run(soak(Path(directory), given.seconds, given.rate))
    for one in verdict.trends:
        print(one)
    print(verdict.done)
    return 0 if verdict.flat else 1


if __name__ == "__main__":
    sys.exit(main())
