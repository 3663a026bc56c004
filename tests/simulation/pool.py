"""Many seeds at once: processes that each have a simulator of their own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import TypeVar

from tests.simulation.hunting import Hunt, hunt
from tests.simulation.planted import Bug
from tests.simulation.planted_shared import bugs_of
from tests.simulation.run import Simulator, Verdict, simulator
from tests.simulation.setup import Setup

_CHUNK = 5

T = TypeVar("T")
R = TypeVar("R")

#: This process' own, once it has been set up.
_simulators: list[Simulator] = []
_open = ExitStack()


def run_seeds(seeds: Iterable[int], jobs: int, setup: Setup) -> Iterator[Verdict]:
    """Runs seeds in some processes; what came of them is in their order."""
    return _spread(jobs, setup, _run_seed, seeds, _CHUNK)


def hunt_bugs(jobs: int, setup: Setup, last: Mapping[str, int]) -> Iterator[Hunt]:
    """Hunts each planted bug; ``last`` has the seeds that they were found in last."""
    return _spread(jobs, setup, _hunt, ((bug, last.get(bug.name)) for bug in bugs_of(setup)), 1)


def _hunt(prey: tuple[Bug, int | None]) -> Hunt:
    return hunt(*prey, run=lambda seed: _run_seed(seed).failure)


def _run_seed(seed: int) -> Verdict:
    return _simulators[0].run(seed)


def _spread(
    jobs: int, setup: Setup, work: Callable[[T], R], items: Iterable[T], chunk: int
) -> Iterator[R]:
    # Spawned, not forked: nothing of this process' loops and files is in the others.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _set_up, (setup,)) as pool:
        yield from pool.map(work, items, chunksize=chunk)


def _set_up(setup: Setup) -> None:
    _simulators.append(_open.enter_context(simulator(setup)))
