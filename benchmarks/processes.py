"""The processes of a benchmark: start, wait until ready, count processor time, stop."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

#: Where ``python -m benchmarks.…`` finds its modules.
_CHECKOUT = Path(__file__).parent.parent
_READY = re.compile(rb"ready .*?(http://\S+)")
#: Finds where gRPC of a gateway is.
GRPC_READY = re.compile(rb"ready .*grpc=(\S+)")
_READY_WITHIN_S = 30
_STOPPED_WITHIN_S = 20
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

#: The console scripts of the running environment stand beside its Python.
BIN = Path(sys.executable).parent


@asynccontextmanager
async def running(
    command: Sequence[str | Path], log: Path, ready: re.Pattern[bytes] = _READY
) -> AsyncIterator[tuple[Process, str]]:
    """Runs a command that prints ``ready … http://HOST:PORT``; gives its process and that URL.

    Its standard error goes to ``log``, as it would in service. ``ready`` finds another word in
    what it prints.
    """
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, stderr=errors, cwd=_CHECKOUT
        )
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            url = await _ready(process, log, ready)
        yield process, url
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            await process.wait()


async def _ready(process: Process, log: Path, ready: re.Pattern[bytes]) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        if found := ready.search(line):
            return found[1].decode()
    raise _not_ready(log)


def _not_ready(log: Path) -> RuntimeError:
    return RuntimeError(f"a process ended before it was ready: {log.read_text()}")


async def output_of(command: Sequence[str | Path]) -> str:
    """Runs a command to its end and gives the last line that it printed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    printed, _ = await process.communicate()
    if process.returncode:
        message = f"{command[0]} failed with {process.returncode}"
        raise RuntimeError(message)
    return printed.decode().strip().splitlines()[-1]


def processor_s(pid: int) -> float:
    """Seconds of processor time that a process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
