"""Asks a real gateway all that its OpenAPI document allows, and all that it does not.

Exits with 1 if an answer is not what the document says: python -m tests.fuzz --cases 10000
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from tests.fuzz.run import fuzz


def main() -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="how many cases, about")
    parser.add_argument("--seed", type=int, help="the cases of this seed again")
    given = parser.parse_args()
    # The gateway's lines stand between those of schemathesis: its errors alone.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory() as folder:
        return asyncio.run(fuzz(Path(folder), given.cases, given.seed))


if __name__ == "__main__":
    sys.exit(main())
