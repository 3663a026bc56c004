"""The README's commands and code, run as they stand against a real gateway and backend."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.processes import GatewayProcess, MockProcess

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str, section: str) -> str:
    """The only block of code in a language of a section."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


async def run(*command: str) -> str:
    bin_dir = str(Path(sys.executable).parent)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"},
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_curl_lines_work(
    gateway_process: GatewayProcess, mock_process: MockProcess
) -> None:
    lines = (
        block("bash", "Use it over REST")
        .replace("http://localhost:8787", gateway_process.rest)
        .replace("http://localhost:8080", mock_process.url)
        .replace("$(inferry token)", gateway_process.token)
        .replace("curl ", "curl -sS --fail-with-body ")
    )
    create, read = lines.split("TASK=task_…   # the id from the answer\n")
    created = await run("bash", "-ec", create)
    assert '"status":"active"' in created
    assert '"status":"COMPLETED"' in created
    task_id = re.findall(r'"id":"(task_\w+)"', created)[-1]
    token = f"TOKEN={gateway_process.token} TASK={task_id}\n"
    watched = await run("bash", "-ec", token + read)
    assert "event: finished" in watched


async def test_a_client_has_five_lines(
    gateway_process: GatewayProcess, mock_process: MockProcess
) -> None:
    assert mock_process.id
    code = block("python", "In Python").replace("127.0.0.1:50051", gateway_process.grpc)
    assert len([line for line in code.splitlines() if line]) <= 5
    printed = await run(sys.executable, "-c", f"TOKEN = {gateway_process.token!r}\n{code}")
    assert len(printed.splitlines()) == 2


async def test_the_code_over_grpc_works(
    gateway_process: GatewayProcess, mock_process: MockProcess
) -> None:
    assert mock_process.id
    code = block("python", "Use it over gRPC").replace("127.0.0.1:50051", gateway_process.grpc)
    code = code.replace('"seconds": 3', '"seconds": 0.2')
    printed = await run(sys.executable, "-c", f"TOKEN = {gateway_process.token!r}\n{code}")
    # How many reports travel is up to the backend and the machine.
    numbers = [int(line.split()[0]) for line in printed.splitlines()]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert " 100.0 " in printed


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_what_it_links_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()
