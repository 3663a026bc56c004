"""Runs many seeds, one seed again, or hunts the planted bugs.

Exits with 1 if a seed fails or a planted bug is not found.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from time import perf_counter

from tests.postgres import URL, postgres_server
from tests.simulation.hunting import SEEDS, keep_finds, last_finds
from tests.simulation.planted_shared import bugs_of
from tests.simulation.pool import hunt_bugs, run_seeds
from tests.simulation.run import Verdict, simulator
from tests.simulation.setup import POSTGRES, SQLITE, Setup


def main() -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes to run them in")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--trace", action="store_true", help="print all that happens in it")
    parser.add_argument("--planted", action="store_true", help="hunt the planted bugs instead")
    parser.add_argument("--keep", action="store_true", help="keep where they were found")
    parser.add_argument("--store", choices=(SQLITE, POSTGRES), default=SQLITE, help="which store")
    parser.add_argument("--replicas", type=int, default=1, help="how many gateways share it")
    given = parser.parse_args()
    if given.replicas > 1 and given.store != POSTGRES:
        parser.error("a file is one gateway's alone: say --store postgres")
    with _made(given.store, given.replicas) as setup:
        if given.seed is not None:
            return _one(given.seed, setup, trace=given.trace)
        if given.planted:
            return _hunt(given.jobs, setup, keep=given.keep)
        return _many(range(given.first, given.first + given.seeds), given.jobs, setup)


@contextmanager
def _made(store: str, replicas: int) -> Iterator[Setup]:
    if store == SQLITE or URL:
        yield Setup(store, replicas, URL)
        return
    with postgres_server() as server:
        yield Setup(store, replicas, server.url)


def _one(seed: int, setup: Setup, *, trace: bool) -> int:
    with simulator(setup) as simulated:
        verdict = simulated.run(seed, show=trace)
    _show(verdict, setup)
    _say(f"seed {seed}: {verdict.tasks} tasks, {verdict.virtual_s:.1f} s, {verdict.trace_hash}")
    return 1 if verdict.failure else 0


def _many(seeds: range, jobs: int, setup: Setup) -> int:
    began_s, failed, tasks, virtual_s = perf_counter(), 0, 0, 0.0
    digest = blake2b(digest_size=8)
    for verdict in run_seeds(seeds, jobs, setup):
        _show(verdict, setup)
        failed += bool(verdict.failure)
        tasks += verdict.tasks
        virtual_s += verdict.virtual_s
        digest.update(verdict.trace_hash.encode())
    took_s = perf_counter() - began_s
    _say(
        f"{len(seeds)} seeds, {failed} failed; {tasks} tasks in {virtual_s / 3_600:.1f} virtual "
        f"hours; {len(seeds) / took_s:.0f} seeds/s; trace {digest.hexdigest()}"
    )
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _show(verdict: Verdict, setup: Setup) -> None:
    if verdict.failure:
        _say(f"seed {verdict.seed} FAILED: {verdict.failure}")
        where = f"--store {setup.store} --replicas {setup.replicas}"
        _say(f"    python -m tests.simulation {where} --seed {verdict.seed} --trace")


def _hunt(jobs: int, setup: Setup, *, keep: bool) -> int:
    finds, last = {}, last_finds()
    for hunt in hunt_bugs(jobs, setup, last):
        if hunt.seed is None:
            _say(f"{hunt.bug:66} NOT FOUND")
            continue
        finds[hunt.bug] = hunt.seed
        _say(f"{hunt.bug:66} {hunt.tried:4} seeds, {hunt.seed:3}: {hunt.failure[:90]}")
    bugs = bugs_of(setup)
    if keep:
        keep_finds({**last, **finds}, lost={bug.name for bug in bugs} - finds.keys())
    elif finds != {bug.name: last.get(bug.name) for bug in bugs}:
        _say("seeds that bugs were found in last are out of date; `make hunt` keeps those of now")
    lost = len(bugs) - len(finds)
    _say(f"{len(bugs)} bugs planted, {lost} not found within {SEEDS} seeds")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
