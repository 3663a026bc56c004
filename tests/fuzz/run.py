"""A gateway, a backend, and schemathesis between them."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.backends import running_backend
from tests.gateways import running_gateway, token
from tests.receivers import NETWORKS

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")


async def fuzz(folder: Path, cases: int, seed: int | None = None) -> int:
    """Draws so many cases, besides those that the document itself gives; returns an exit code.

    Args:
        folder: Where the gateway keeps its data.
        cases: How many, for all operations together.
        seed: Draws the same ones again.
    """
    async with (
        running_backend() as backend,
        running_gateway(folder, queue_limit=1_000, webhook_networks=NETWORKS) as running,
    ):
        # It takes every type.
        await running.register(backend, capabilities=[])
        _, document = await running.call("GET", "/openapi.json")
        each = max(1, cases // _operations(document))
        seeded = () if seed is None else ("--seed", str(seed))
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("st"),
            *("--config-file", CONFIG, "--no-color", "run", f"{running.url}/openapi.json"),
            *("--checks", "all", "--max-examples", str(each), *seeded),
            *("--header", f"Authorization: Bearer {token()}"),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "INFERRY_FUZZ_BACKEND": backend.url},
        )
        return await process.wait()


def _operations(document: Mapping[str, Any]) -> int:
    return sum(len(path) for path in document["paths"].values())
