"""docs/operations.md: its commands do what it says, and its messages are those of the source."""

import ast
import asyncio
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.main import get_command

from inferry.bridge.config import BridgeConfig
from inferry.cli.main import app
from inferry.server.config import Config
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import RegisterServerRequest
from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.wire.figures import FIGURES
from tests.docs.pages import DOCS, ROOT, blocks, section
from tests.processes import INFERRY, GatewayProcess, MockProcess, start

PAGE = DOCS / "operations.md"
ROWS = re.findall(
    r"^\| (`.+`.*?) \| (.+?) \| (.+) \|$", section(PAGE, "Troubleshooting"), re.MULTILINE
)
#: Where messages come from; what differs in them is told by ``…``.
SOURCES = ("server", "bridge", "client", "proto")


def test_it_tells_of_many_situations() -> None:
    assert len(ROWS) >= 25
    assert len({seen for seen, _, _ in ROWS}) == len(ROWS)


def text_of(node: ast.AST) -> str | None:
    """Gives the text that an expression is, with ``…`` for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    return None


def texts_in(path: Path) -> Iterator[str]:
    """Reads the texts of a module that somebody may see: none of its docstrings."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in said and (text := text_of(node)):
            yield re.sub(r"%(\.\d)?[a-z]\b", "…", text)


@cache
def texts_of_source() -> tuple[str, ...]:
    """Reads all texts of the source, once."""
    files = sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    return tuple(text for path in files for text in texts_in(path))


@pytest.mark.parametrize("message", [one for row in ROWS for one in re.findall("`(.+?)`", row[0])])
def test_a_message_is_one_that_the_source_has(message: str) -> None:
    parts = [part for part in message.split("…") if part.strip(" ;:,'")]
    assert sum(map(len, parts)) >= 8, "too short to tell it from others"
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(text) for text in texts_of_source()), message


def test_the_commands_that_it_names_are_there() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"\binferry ([a-z-]+)(?: ([a-z]+)\b)?", PAGE.read_text())
    assert named
    for command, below in named:
        assert command in commands, command
        group = getattr(commands[command], "commands", None)
        assert group is None or below in group, (command, below)


def test_the_settings_figures_and_fields_that_it_names_are_there() -> None:
    page = PAGE.read_text()
    settings = {*Config.model_fields, *BridgeConfig.model_fields}
    variables = {name.lower() for name in re.findall(r"\bINFERRY_([A-Z_]+)\b", page)}
    assert variables - {"token"} <= settings
    names = {*re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page)}
    figures = {figure.series for figure in FIGURES}
    of_others = {"max_connections", "idle_in_transaction_session_timeout"}
    assert names - settings - figures - of_others - {"callback_url", "extend_ms"} == set()
    messages = (CreateTaskRequest, RegisterServerRequest, Server)
    fields = {field.json_name for kind in messages for field in kind.DESCRIPTOR.fields}
    assert {*re.findall(r"`([a-z]+[A-Z]\w+)`", page)} <= fields


async def run(script: str, **variables: str) -> str:
    """Runs commands as somebody at the shell does; gives what they print."""
    places = {"PATH": f"{INFERRY.parent}:{os.environ['PATH']}", **variables}
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-ec",
        script,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=places,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def ask(gateway: GatewayProcess, verb: str, path: str, body: object = None) -> Any:
    """Calls REST with a token of before the backup."""
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with (
        aiohttp.ClientSession(gateway.rest, headers=headers) as http,
        http.request(verb, path, json=body) as answer,
    ):
        assert answer.ok, await answer.text()
        return await answer.json()


@pytest.mark.file_store
async def test_a_restored_backup_has_all_and_goes_on_where_it_stood(
    gateway_process: GatewayProcess, mock_process: MockProcess, tmp_path: Path
) -> None:
    gateway = gateway_process
    done = {"type": "test-processing", "async": False, "payload": {"result": {"kept": 1}}}
    ended = await ask(gateway, "POST", "/api/tasks", done)
    await ask(gateway, "POST", "/api/queue/pause", {"type": "test-processing"})
    waiting = await ask(gateway, "POST", "/api/tasks", {"type": "test-processing"})
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    await asyncio.to_thread(backup.mkdir)
    places = {"BACKUP": str(backup), "RESTORED": str(restored)}
    (copy,) = blocks(DOCS / "deployment.md", "sh", "Backup and restore")
    await run(copy, INFERRY_DATA_DIR=str(gateway.data_dir), **places)
    lost = await ask(gateway, "POST", "/api/tasks", {"type": "test-processing"})
    await gateway.kill()

    (look,) = blocks(PAGE, "sh", "Look at a backup")
    assert re.search(r"^tasks +2 ", await run(look, **places), re.MULTILINE)

    (restore,) = blocks(PAGE, "sh", "Restore it once")
    copies, _, serve = restore.strip().rpartition("\n")
    await run(copies, **places)
    flags = [word.replace("$RESTORED", str(restored)) for word in shlex.split(serve)[1:]]
    rest, grpc = (address.rpartition(":")[2] for address in (gateway.rest, gateway.grpc))
    again = await start(tmp_path / "again.log", *flags, "--port", rest, "--grpc-port", grpc)
    try:
        assert (await ask(gateway, "GET", f"/api/tasks/{ended['id']}"))["result"] == {"kept": 1}
        listed = str(await ask(gateway, "GET", "/api/tasks"))
        assert waiting["id"] in listed
        assert lost["id"] not in listed
        servers = str(await ask(gateway, "GET", "/api/servers"))
        assert mock_process.id in servers
        await ask(gateway, "POST", "/api/queue/resume", {"type": "test-processing"})
        now = await ask(gateway, "GET", f"/api/tasks/{waiting['id']}?wait=30")
        assert now["status"] == "COMPLETED"
    finally:
        await again.stop()
