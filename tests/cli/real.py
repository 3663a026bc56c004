"""``inferry`` as a user of one real gateway types it."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from inferry.cli.main import app
from tests.processes import INFERRY, GatewayProcess

WITHIN_S = 60


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class Inferry:
    """Commands against a gateway in a process of its own."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "INFERRY_ADDRESS": gateway.grpc,
            "INFERRY_TOKEN": gateway.token,
        }

    async def start(self, *arguments: str, stdin: bytes | None = None) -> Process:
        """Starts a command in a process; it may go on while others run."""
        process = await asyncio.create_subprocess_exec(
            INFERRY,
            *arguments,
            stdin=None if stdin is None else PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._environment,
        )
        if process.stdin is not None:
            process.stdin.write(stdin or b"")
            process.stdin.close()
        return process

    async def run(self, *arguments: str) -> Ran:
        """Runs a command to its end, in this process: Python need not start for each."""
        async with asyncio.timeout(WITHIN_S):
            result = await asyncio.to_thread(
                CliRunner().invoke, app, arguments, env=self._environment
            )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    async def json(self, *arguments: str) -> Any:
        ran = await self.run(*arguments, "--json")
        assert ran.out, ran.err
        return json.loads(ran.out)


async def ended(process: Process) -> Ran:
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, (out or b"").decode(), err.decode())
