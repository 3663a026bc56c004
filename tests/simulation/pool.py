"""Many seeds at once: processes that each have a simulator of their own."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

from tests.simulation.planted import BUGS, planted
from tests.simulation.run import Simulator, Verdict, simulator

#: Seeds that a planted bug has to be found within.
PLANTED_SEEDS = 1_000
_CHUNK = 20

T = TypeVar("T")
R = TypeVar("R")

#: This process' own, once it has been set up.
_simulators: list[Simulator] = []
_open = ExitStack()


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of looking for a planted bug."""

    bug: str
    #: How many seeds it took.
    seeds: int
    #: How it showed; empty if it did not.
    failure: str


def run_seeds(seeds: Iterable[int], jobs: int) -> Iterator[Verdict]:
    """Runs seeds in some processes; what came of them is in their order."""
    return _spread(jobs, _run_seed, seeds, _CHUNK)


def hunt_bugs(jobs: int) -> Iterator[Hunt]:
    """Plants one bug after the other and runs seeds until one fails."""
    return _spread(jobs, _hunt, range(len(BUGS)), 1)


def _hunt(number: int) -> Hunt:
    bug = BUGS[number]
    with planted(bug):
        for seed in range(PLANTED_SEEDS):
            failure = _run_seed(seed).failure
            if failure:
                return Hunt(bug.name, seed + 1, failure)
    return Hunt(bug.name, PLANTED_SEEDS, "")


def _run_seed(seed: int) -> Verdict:
    return _simulators[0].run(seed)


def _spread(jobs: int, work: Callable[[T], R], items: Iterable[T], chunk: int) -> Iterator[R]:
    # Spawned, not forked: nothing of this process' loops and files is in the others.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _set_up) as pool:
        yield from pool.map(work, items, chunksize=chunk)


def _set_up() -> None:
    _simulators.append(_open.enter_context(simulator()))
