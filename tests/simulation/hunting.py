"""The hunt of a planted bug: first where it showed last, then wherever it shows."""

import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tests.simulation.planted import Bug, planted
from tests.simulation.planted_shared import ALL_BUGS

#: Seeds that a planted bug has to be found within.
SEEDS = 1_000
#: The seeds that bugs were found in last, by the names of the bugs.
_FINDS = Path(__file__).with_name("finds.json")


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of looking for a planted bug."""

    bug: str
    #: The seed that it showed in; None if it showed in none.
    seed: int | None
    #: How many seeds it took.
    tried: int
    #: How it showed; empty if it did not.
    failure: str


def hunt(bug: Bug, last: int | None, run: Callable[[int], str]) -> Hunt:
    """Plants a bug and runs seeds until one fails that does not fail without the bug.

    Args:
        bug: What to plant.
        last: The seed that it was found in last: nothing but the first to look at.
        run: Runs a seed; returns how it failed, or nothing.
    """
    tried = 0
    for seed in chain(() if last is None else (last,), range(SEEDS)):
        tried += 1
        with planted(bug):
            failure = run(seed)
        if failure and not run(seed):
            return Hunt(bug.name, seed, tried, failure)
    return Hunt(bug.name, None, tried, "")


def last_finds() -> Mapping[str, int]:
    """Reads the seeds that bugs were found in last."""
    finds: dict[str, int] = json.loads(_FINDS.read_text())
    return finds


def keep_finds(finds: Mapping[str, int], lost: AbstractSet[str]) -> None:
    """Writes them down, but of bugs that were not found, or that nobody plants any more."""
    known = {bug.name for bug in ALL_BUGS} - lost
    finds = {name: seed for name, seed in finds.items() if name in known}
    _FINDS.write_text(json.dumps(finds, indent=2) + "\n")
