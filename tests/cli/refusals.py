"""Servers that cannot start, and what they say."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.cli.real import WITHIN_S
from tests.processes import INFERRY

FREE = ("--port", "0", "--grpc-port", "0")


async def refusal(home: Path, *arguments: str | Path, **settings: str) -> tuple[int | None, str]:
    """Starts a server that cannot start; gives its status and what it says.

    Args:
        home: Of its user.
        arguments: Of ``inferry``.
        settings: Environment variables of it.
    """
    return await refusal_to((INFERRY, *arguments), home, settings)


async def refusal_to(
    command: Sequence[str | Path], home: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> tuple[int | None, str]:
    """Runs a whole command that starts such a server; see ``refusal``."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **settings}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=PIPE, env=environment
    )
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert out == b""
    return process.returncode, err.decode()


def cannot(text: str, status: int = 1) -> tuple[int, str]:
    """Makes what a server says that cannot start: one line."""
    return status, f"inferry cannot start: {text}\n"
