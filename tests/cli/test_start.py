"""What keeps a server from starting is said in one line."""

import asyncio
import os
import socket
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.real import WITHIN_S
from tests.processes import INFERRY

FREE = ("--port", "0", "--grpc-port", "0")
BEYOND = ("--host", "0.0.0.0", "--public-url", "https://gateway.example.com")
MAKE_ONE = "as from python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


@pytest.fixture
def taken() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield str(other.getsockname()[1])


async def refusal(home: Path, *arguments: str, **settings: str) -> tuple[int | None, str]:
    """Starts a server that cannot start; gives its status and what it says."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **settings}
    process = await asyncio.create_subprocess_exec(
        INFERRY, *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert out == b""
    return process.returncode, err.decode()


@pytest.mark.parametrize("flag", ["--port", "--grpc-port"])
async def test_a_port_that_is_taken_is_named(tmp_path: Path, taken: str, flag: str) -> None:
    said = await refusal(tmp_path, "serve", *FREE, flag, taken)
    text = f"cannot listen on 127.0.0.1:{taken}: Address already in use"
    assert said == (1, f"inferry cannot start: {text}\n")


async def test_a_bridge_names_a_port_that_is_taken(tmp_path: Path, taken: str) -> None:
    said = await refusal(tmp_path, "bridge", "--upstream", "127.0.0.1:1", "--port", taken)
    text = f"cannot listen on 127.0.0.1:{taken}: Address already in use"
    assert said == (1, f"inferry cannot start: {text}\n")


async def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = await refusal(tmp_path, "serve", *FREE, "--data-dir", f"{tmp_path}/file")
    text = f"cannot make the data directory {tmp_path}/file: File exists"
    assert said == (1, f"inferry cannot start: {text}\n")


async def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "inferry.db").write_text("garbage" * 1_000)
    said = await refusal(tmp_path, "serve", *FREE, "--data-dir", str(tmp_path))
    text = f"cannot open the store {tmp_path}/inferry.db: file is not a database"
    assert said == (1, f"inferry cannot start: {text}\n")


@pytest.mark.parametrize(
    ("flags", "settings", "text"),
    [
        (BEYOND, {}, f"needs INFERRY_JWT_SECRET: 32 bytes or more, {MAKE_ONE}"),
        ((), {"INFERRY_JWT_SECRET": "short"}, "INFERRY_JWT_SECRET has 5 bytes and needs 32"),
        ((), {"INFERRY_JWT_PUBLIC_KEY": "/no/key"}, "JWT_PUBLIC_KEY: /no/key: No such file"),
        ((), {"INFERRY_JWT_PUBLIC_KEY": os.devnull}, "JWT_PUBLIC_KEY: /dev/null: "),
    ],
)
async def test_a_secret_or_a_key_that_will_not_do_is_a_wrong_setting(
    tmp_path: Path, flags: tuple[str, ...], settings: dict[str, str], text: str
) -> None:
    status, said = await refusal(tmp_path, "serve", *FREE, *flags, **settings)
    assert (status, said.count("\n")) == (2, 1)
    assert text in said
