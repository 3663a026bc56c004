"""What a server tells whoever started it: where its pages are, and how to get a token."""

import asyncio
import json
import os
import pty
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe

import aiohttp
import pytest

from tests.cli.real import WITHIN_S
from tests.cli.refusals import FREE
from tests.processes import INFERRY, gone, start

STEPS = re.compile(r"(?:^|\r\n)\r\n(  .*?)\r\n\r\n", re.DOTALL)
READY = re.compile(r"inferry ready rest=(\S+) grpc=(\S+)\n")


@asynccontextmanager
async def on_a_terminal(
    home: Path, *arguments: str | Path, **settings: str
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Runs a server whose standard error is a terminal; gives its ready line, and its steps."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **settings}
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        INFERRY, *arguments, stdout=PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            ready, drawn = (await process.stdout.readline()).decode(), ""
            while (shown := STEPS.search(drawn)) is None:
                drawn += (await asyncio.to_thread(os.read, ours, 65_536)).decode()
        yield ready, dict(line.split(None, 1) for line in shown[1].splitlines())
    finally:
        process.terminate()
        await gone(process)
        os.close(ours)


async def printed(home: Path, step: str, variable: str) -> str:
    """Does a step in a shell as it stands; gives what it left in a variable."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    shell = await asyncio.create_subprocess_shell(
        f'{step}\necho "${variable}"', stdout=PIPE, env=environment, cwd="/"
    )
    out, _ = await asyncio.wait_for(shell.communicate(), WITHIN_S)
    return out.decode().strip()


async def status_of(url: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status


@pytest.mark.file_store
async def test_a_person_is_told_where_the_pages_are_and_what_gives_a_token(tmp_path: Path) -> None:
    data = tmp_path / "da ta"
    async with on_a_terminal(tmp_path, "serve", *FREE, "--data-dir", data) as (ready, steps):
        match = READY.fullmatch(ready)
        assert match is not None
        rest, grpc = match.groups()
        assert steps["page"] == f"{rest}/ui/"
        assert steps["docs"] == f"{rest}/docs"
        assert steps["data"] == str(data)
        assert await status_of(steps["page"]) == await status_of(steps["docs"]) == 200
        token = await printed(tmp_path, steps["token"], "INFERRY_TOKEN")
        assert await status_of(f"{rest}/api/servers", token) == 200
        assert await printed(tmp_path, steps["gRPC"], "INFERRY_ADDRESS") == grpc
        assert f"mock --gateway {rest} " in steps["then"]


@pytest.mark.file_store
async def test_what_is_told_is_for_whoever_sits_there_and_has_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "inferry.toml"
    file.write_text(
        f"data_dir = '{tmp_path}'\nweb = false\npublic_url = 'https://gateway.example'\n"
    )
    everywhere = {"INFERRY_HOST": "0.0.0.0", "INFERRY_JWT_SECRET": token_urlsafe(48)}
    command = ("serve", *FREE, "--config", file)
    async with on_a_terminal(tmp_path, *command, **everywhere) as (_, steps):
        assert "page" not in steps
        assert steps["docs"].startswith("http://127.0.0.1:")
        assert steps["gRPC"].startswith("export INFERRY_ADDRESS=127.0.0.1:")
        assert f"token --config {file})" in steps["token"]
        assert steps["token"].endswith("# where INFERRY_JWT_SECRET is the same")


async def test_a_bridge_tells_where_its_pages_are(tmp_path: Path) -> None:
    command = ("bridge", "--upstream", "127.0.0.1:1", "--port", "0")
    async with on_a_terminal(tmp_path, *command) as (ready, steps):
        url = ready.removeprefix("inferry bridge ready rest=").strip()
        assert (steps["page"], steps["docs"]) == (f"{url}/ui/", f"{url}/docs")


@pytest.mark.file_store
async def test_without_a_terminal_the_log_tells_in_its_own_form(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    running = await start(log, "serve", *FREE, "--data-dir", tmp_path / "data")
    await running.stop()
    lines = [json.loads(line) for line in running.log.splitlines()]
    (told,) = [line for line in lines if line["event"] == "where to go on"]
    rest = running.words[2].removeprefix("rest=")
    assert (told["page"], told["docs"]) == (f"{rest}/ui/", f"{rest}/docs")
    assert told["token_from"].endswith(f"inferry token --data-dir {tmp_path}/data")
