"""The code of docs/backend.md and the README's backend, run as they stand."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inferry.backend.testing.gateway import Gateway
from inferry.backend.testing.grpc import GrpcGateway
from inferry.backend.testing.http import HttpGateway

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backend.md").read_text()
README = (ROOT / "README.md").read_text()
WORKER, LAST_LINE, SETUP, TEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BACKEND_OF_THE_README = next(
    code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Backend(" in code
)
GRPC, HTTP = "127.0.0.1:50051", "http://localhost:8787"


@asynccontextmanager
async def running(tmp_path: Path, code: str) -> AsyncIterator[None]:
    """Runs a program until the block ends, and then until SIGTERM has let it end in order."""
    program = tmp_path / "program.py"
    await asyncio.to_thread(program.write_text, code)
    environment = {**os.environ, "INFERRY_TOKEN": "a token"}
    process = await asyncio.create_subprocess_exec(sys.executable, program, env=environment)
    try:
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(30):
            assert await process.wait() == 0


async def expect_scenes(gateway: Gateway) -> None:
    outcome = await (await gateway.send("video-processing", {})).end()
    assert outcome.progress == [(45, "Analyzing video frames…")]
    assert outcome.result == {"scenes": 7}


@pytest.mark.parametrize("code", [WORKER, BACKEND_OF_THE_README], ids=["page", "readme"])
async def test_the_worker_works(tmp_path: Path, code: str) -> None:
    async with GrpcGateway() as gateway:
        assert GRPC in code
        async with running(tmp_path, code.replace(GRPC, gateway.address)):
            await expect_scenes(gateway)


async def test_the_same_backend_works_over_http(tmp_path: Path) -> None:
    async with HttpGateway() as gateway:
        last = LAST_LINE.replace(HTTP, gateway.url).replace("8080", "0")
        start, _, _ = WORKER.rpartition("connect(")
        code = start.replace("grpc import connect", "http import serve") + last
        async with running(tmp_path, code), asyncio.timeout(30):
            await gateway.registered.get()
            await expect_scenes(gateway)


async def test_a_setup_runs_before_the_first_task(tmp_path: Path) -> None:
    async with GrpcGateway() as gateway:
        code = WORKER.replace(GRPC, gateway.address).replace('{"scenes": 7}', "model")
        load = f"def load_model() -> str:\n    return 'loaded'\n\n{SETUP}\n@app.task"
        async with running(tmp_path, code.replace("@app.task", load)):
            outcome = await (await gateway.send("video-processing", {})).end()
            assert outcome.result == "loaded"


async def test_the_test_passes() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", TEST, stderr=PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", PAGE))
def test_what_it_links_to_is_there(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
