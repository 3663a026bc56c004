"""Measures Inferry against the floor: the same load on both, in turns. See docs/benchmarks.md."""

import argparse
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.driver import LOADS, Gateway, Load, Round, listening
from benchmarks.machine import describe
from benchmarks.processes import BIN, output_of, running
from benchmarks.summary import as_json, show

ROUNDS, ROUND_S = 5, 3.0
QUICK_ROUNDS, QUICK_ROUND_S = 2, 1.0
WARM_UP_S = 1.0
#: Inferry's data lives here while it is measured: the disk of the checkout, not one in memory.
SCRATCH = Path(__file__).parent.parent / ".build"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", choices=[load.name for load in LOADS], help="one kind of load")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--profile", type=Path, help="write Inferry's profile (cProfile) here")
    return parser.parse_args()


@asynccontextmanager
async def _floor(log: Path) -> AsyncIterator[Gateway]:
    async with (
        running([sys.executable, "-m", "benchmarks.floor"], log) as (process, url),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield Gateway("floor", url, process.pid, session)


@asynccontextmanager
async def _inferry(scratch: Path, profile: Path | None) -> AsyncIterator[Gateway]:
    inferry, place = BIN / "inferry", ("--data-dir", scratch / "data")
    profiler = ("-m", "cProfile", "-o", profile) if profile else ()
    serve = [sys.executable, *profiler, inferry, "serve", "--port", "0", "--grpc-port", "0", *place]
    async with running(serve, scratch / "inferry.log") as (process, url):
        token = await output_of([inferry, "token", *place, "--role", "admin"])
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers={"Authorization": f"Bearer {token}"}
        ) as session:
            yield Gateway("inferry", url, process.pid, session)


async def _measure(
    loads: Sequence[Load], rounds: int, round_s: float, scratch: Path, profile: Path | None
) -> dict[str, dict[str, list[Round]]]:
    """Runs every load on both gateways in turns: A, B, A, B, and so on."""
    results: dict[str, dict[str, list[Round]]] = {}
    async with (
        running([sys.executable, "-m", "benchmarks.backend"], scratch / "backend.log") as (
            backend,
            backend_url,
        ),
        listening(backend) as ends,
        _floor(scratch / "floor.log") as floor,
        _inferry(scratch, profile) as inferry,
    ):
        gateways = (floor, inferry)
        for gateway in gateways:
            await gateway.register(backend_url)
        for load in loads:
            taken: dict[str, list[Round]] = {gateway.name: [] for gateway in gateways}
            for gateway in gateways:
                await gateway.press(load, WARM_UP_S, ends)
            for _ in range(rounds):
                for gateway in gateways:
                    taken[gateway.name].append(await gateway.press(load, round_s, ends))
            results[load.name] = taken
    return results


async def _main() -> None:
    asked = _arguments()
    loads = [load for load in LOADS if asked.only in (None, load.name)]
    rounds, round_s = (QUICK_ROUNDS, QUICK_ROUND_S) if asked.quick else (ROUNDS, ROUND_S)
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SCRATCH) as scratch:
        machine = describe(Path(scratch))
        results = await _measure(loads, rounds, round_s, Path(scratch), asked.profile)
    if asked.json:
        print(json.dumps(as_json(machine, results), indent=2))
    else:
        show(machine, results)


if __name__ == "__main__":
    uvloop.run(_main())
