"""The simulation itself: no seed fails, seeds repeat, and planted bugs are found."""

import asyncio
import os
import sys

from tests.simulation.planted import BUGS

SEEDS = 250


async def simulate(*arguments: str, hash_seed: int = 0) -> tuple[int, str]:
    """Runs the command in a process of its own; returns its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.simulation", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_no_seed_finds_a_broken_promise() -> None:
    code, printed = await simulate("--seeds", str(SEEDS))
    assert code == 0, printed


async def test_the_same_seeds_take_the_same_course_in_every_process() -> None:
    runs = [await simulate("--seeds", "25", hash_seed=number) for number in (1, 2)]
    first, second = (printed.rpartition("trace ")[2] for _, printed in runs)
    assert (first, [code for code, _ in runs]) == (second, [0, 0]), runs


async def test_a_seed_can_be_run_again_with_all_that_happens_in_it() -> None:
    code, printed = await simulate("--seed", "1", "--trace")
    assert code == 0, printed
    assert "gateway 1 serves" in printed
    assert "disk committed" in printed


async def test_each_planted_bug_is_found() -> None:
    code, printed = await simulate("--planted")
    assert code == 0, printed
    assert f"{len(BUGS)} bugs planted, 0 not found" in printed
