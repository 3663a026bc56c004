"""docs/migration.md: what takes the place of the Worker's files does what these did."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from secrets import token_urlsafe

import aiohttp
import pytest

from tests.docs.pages import DOCS, blocks, section
from tests.processes import INFERRY, GatewayProcess, MockProcess, start_gateway

PAGE = DOCS / "migration.md"
IN_PLACE, CHECK = blocks(PAGE, "bash")
(GENERATE_JWT,) = blocks(PAGE, "js")


async def run(*command: str, **variables: str) -> str:
    """Runs a program; gives what it prints."""
    environment = {"PATH": f"{INFERRY.parent}:{os.environ['PATH']}", **variables}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=STDOUT, env=environment
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def test_what_takes_the_place_of_the_workers_files_works(
    gateway_process: GatewayProcess, mock_process: MockProcess, tmp_path: Path
) -> None:
    document = tmp_path / "openapi.json"
    script = IN_PLACE.replace("http://localhost:8787", gateway_process.rest)
    printed = await run(
        "bash",
        "-ec",
        script.replace("> openapi.json", f"> {document}") + 'echo "$TOKEN"',
        INFERRY_DATA_DIR=str(gateway_process.data_dir),
        INFERRY_ADDRESS=gateway_process.grpc,
    )
    assert mock_process.id in printed
    assert '"test": "data"' in printed
    assert "/api/servers/register" in await asyncio.to_thread(document.read_text)
    gateway_process.token = printed.splitlines()[-1]
    assert await status_of_a_list(gateway_process) == 200


async def test_a_backend_is_checked_without_a_gateway(
    gateway_process: GatewayProcess, mock_process: MockProcess
) -> None:
    script = CHECK.replace("http://localhost:8080", mock_process.url)
    # The mock takes work of its own gateway alone: the check signs as that does.
    secret = {"INFERRY_DATA_DIR": str(gateway_process.data_dir)}
    printed = await run("bash", "-ec", script, **secret)
    assert "FAIL" not in printed
    assert "pass" in printed


async def status_of_a_list(gateway: GatewayProcess) -> int:
    """Asks for tasks with the gateway's token; gives the status of the answer."""
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with (
        aiohttp.ClientSession(gateway.rest, headers=headers) as http,
        http.get("/api/tasks") as answer,
    ):
        return answer.status


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("backend", 403)])
async def test_a_script_of_ones_own_makes_tokens(tmp_path: Path, role: str, status: int) -> None:
    secret = {"INFERRY_JWT_SECRET": token_urlsafe(48)}
    gateway = await start_gateway(tmp_path, settings=secret)
    try:
        program = tmp_path / "generate-jwt.js"
        await asyncio.to_thread(program.write_text, GENERATE_JWT)
        gateway.token = (await run("node", str(program), role, **secret)).strip()
        assert await status_of_a_list(gateway) == status
    finally:
        await gateway.stop()


def test_it_says_whose_place_is_taken_by_what() -> None:
    table = section(PAGE, "What takes whose place")
    for there, here in {
        "API.md": "/openapi.json",
        "generate-jwt.js": "inferry token",
        "/test/mock-server.js": "inferry mock",
    }.items():
        assert re.search(rf"^\| `{re.escape(there)}` \|.*{re.escape(here)}", table, re.MULTILINE)
