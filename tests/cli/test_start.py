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
    ("answer", "why"),
    [
        (b"\0\0\x18\x04\0\0\0\0\0", "what answers there speaks no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "what answers there is no gateway"),
    ],
)
async def test_a_mock_says_that_what_it_was_sent_to_is_no_gateway(
    tmp_path: Path, answer: bytes, why: str
) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(answers, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    async with other:
        status, said = await refusal(tmp_path, "mock", "--port", "0", "--gateway", f"{url}/")
    assert (status, said.count("\n")) == (5, 1)
    assert said.startswith(f"the gateway at {url} refused the registration: {why}")


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
async def test_a_mock_takes_no_other_port_than_it_was_given(tmp_path: Path, port: str) -> None:
    status, said = await refusal(tmp_path, "mock", "--port", port)
    assert status == 2
    assert "Invalid value for '--port'" in said


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
