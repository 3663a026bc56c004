"""The simulation itself: no seed fails, seeds repeat, and planted bugs are found."""

import asyncio
import os
import sys

import pytest

from tests.simulation.planted_shared import bugs_of
from tests.simulation.setup import POSTGRES, Setup

SEEDS = 250
#: On a database a seed takes some ten times as long.
SHARED_SEEDS = {1: 25, 3: 18}

on_a_database = pytest.mark.parametrize("replicas", SHARED_SEEDS)


async def simulate(
    *arguments: str, hash_seed: int = 0, postgres: str = "", replicas: int = 1
) -> tuple[int, str]:
    """Runs the command in a process of its own; returns its exit code and what it printed."""
    where = ("--store", POSTGRES, "--replicas", str(replicas)) if postgres else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.simulation", *where, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "INFERRY_TEST_POSTGRES": postgres},
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_no_seed_finds_a_broken_promise() -> None:
    code, printed = await simulate("--seeds", str(SEEDS))
    assert code == 0, printed


@on_a_database
async def test_no_seed_finds_one_on_a_database_that_gateways_share(
    postgres: str, replicas: int
) -> None:
    seeds = str(SHARED_SEEDS[replicas])
    code, printed = await simulate("--seeds", seeds, postgres=postgres, replicas=replicas)
    assert code == 0, printed


async def test_the_same_seeds_take_the_same_course_in_every_process() -> None:
    runs = [await simulate("--seeds", "25", hash_seed=number) for number in (1, 2)]
    first, second = (printed.rpartition("trace ")[2] for _, printed in runs)
    assert (first, [code for code, _ in runs]) == (second, [0, 0]), runs


async def test_the_same_seeds_take_the_same_course_with_gateways_that_share_a_database(
    postgres: str,
) -> None:
    runs = [
        await simulate("--seeds", "5", hash_seed=number, postgres=postgres, replicas=3)
        for number in (1, 2)
    ]
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
    assert f"{len(bugs_of(Setup()))} bugs planted, 0 not found" in printed


@on_a_database
async def test_so_is_each_of_gateways_that_share_a_database(postgres: str, replicas: int) -> None:
    code, printed = await simulate("--planted", postgres=postgres, replicas=replicas)
    assert code == 0, printed
    bugs = bugs_of(Setup(POSTGRES, replicas))
    assert f"{len(bugs)} bugs planted, 0 not found" in printed


async def test_a_file_is_for_one_gateway() -> None:
    code, printed = await simulate("--replicas", "2")
    assert code == 2
    assert "a file is one gateway's alone: say --store postgres" in printed
