"""A gateway, a worker and a client at a steady load: what each has of memory and descriptors."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import gone, start_gateway
from tests.soak.gateway import sqlite_bytes
from tests.soak.gauge import Sample, Trend, measure, trend

#: How long all of it may warm up: caches fill, tables and arenas grow.
_WARM_S = 60.0
#: The share of a short run that is taken for that.
_WARM_SHARE = 0.4
#: Samples in a run.
_SAMPLES = 120
_READY_WITHIN_S = 30
_ENDED_WITHIN_S = 30
#: Finished tasks go soon: what grows is not the number of tasks.
_SETTINGS = {"INFERRY_KEEP_DONE_MS": "20000", "INFERRY_KEEP_FAILED_MS": "20000"}
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a soak."""

    trends: list[Trend]
    #: What the client did, and how often.
    done: str

    @property
    def flat(self) -> bool:
        """Whether nobody has more than in the beginning."""
        return all(one.flat for one in self.trends)


async def soak(directory: Path, seconds: float, rate: float) -> Verdict:
    """Keeps the load up for so long.

    Args:
        directory: For data and logs.
        seconds: How long.
        rate: Tasks a second.
    """
    told = directory / "sqlite.bytes"
    program = (sys.executable, "-m", "tests.soak.gateway", told)
    settings = {**_SETTINGS, "PYTHONPATH": str(_ROOT)}
    gateway = await start_gateway(directory, settings=settings, program=program)
    try:
        given = gateway.grpc, gateway.token
        async with (
            _running("worker", directory, *given) as worker,
            _running("client", directory, *given, str(rate)) as client,
        ):
            pids = {"gateway": gateway.pid, "worker": worker.pid, "client": client.pid}
            samples = await _watch(pids, seconds, told)
            done = await _ended(client)
        return Verdict([trend(name, found) for name, found in samples.items()], done)
    finally:
        await gateway.stop()


async def _watch(pids: Mapping[str, int], seconds: float, told: Path) -> dict[str, list[Sample]]:
    """Takes samples of processes; those of before they had warmed up are left out."""
    warm_s = min(_WARM_S, _WARM_SHARE * seconds)
    samples: dict[str, list[Sample]] = {name: [] for name in pids}
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < seconds:
        for name, pid in pids.items() if at_s >= warm_s else ():
            cached = sqlite_bytes(told) if name == "gateway" else 0
            samples[name].append(measure(pid, time.monotonic() - began_s, cached))
        await asyncio.sleep(seconds / _SAMPLES)
    return samples


@asynccontextmanager
async def _running(name: str, directory: Path, *given: str) -> AsyncIterator[Process]:
    with (directory / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"tests.soak.{name}", *given),
            stdout=PIPE,
            stderr=log,
            cwd=_ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_READY_WITHIN_S):
            line = await process.stdout.readline()
        assert line, (directory / f"{name}.log").read_text()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await gone(process)


async def _ended(client: Process) -> str:
    """Ends the client in order; gives its last word."""
    client.terminate()
    async with asyncio.timeout(_ENDED_WITHIN_S):
        said, _ = await client.communicate()
    return said.decode().strip()
