"""What keeps a server from starting is said in one line."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from secrets import token_urlsafe

import pytest

from tests.cli.refusals import FREE, cannot, refusal

BEYOND = ("--host", "0.0.0.0", "--public-url", "https://gateway.example.com")
MAKE_ONE = (
    "python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes one; "
    "set it with INFERRY_JWT_SECRET"
)
KEY = "; name a PEM file with INFERRY_JWT_PUBLIC_KEY"
STOP = "stop what listens there, or take another port"


@pytest.fixture
def taken() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield str(other.getsockname()[1])


@pytest.mark.parametrize("flag", ["--port", "--grpc-port"])
async def test_a_port_that_is_taken_is_named_with_what_chose_it(
    tmp_path: Path, taken: str, flag: str
) -> None:
    text = f"cannot listen on 127.0.0.1:{taken}: Address already in use; {STOP}"
    said = await refusal(tmp_path, "serve", *FREE, flag, taken)
    assert said == cannot(f"{text} with {flag}")


async def test_a_port_that_is_taken_is_blamed_on_the_variable_the_file_or_the_default(
    tmp_path: Path, taken: str
) -> None:
    text = f"cannot listen on 127.0.0.1:{taken}: Address already in use; {STOP}"
    said = await refusal(tmp_path, "serve", "--grpc-port", "0", INFERRY_PORT=taken)
    assert said == cannot(f"{text} with INFERRY_PORT")
    file = tmp_path / "inferry.toml"
    file.write_text(f"# ours\ngrpc_port = 0\nport = {taken}\n")
    said = await refusal(tmp_path, "serve", "--config", file)
    assert said == cannot(f"{text} with port in {file}, line 3")
    with ExitStack() as holding:
        with suppress(OSError):  # somebody else has it
            holding.enter_context(closing(socket.create_server(("127.0.0.1", 50051))))
        said = await refusal(tmp_path, "serve", "--port", "0")
    assert said == cannot(
        "cannot listen on 127.0.0.1:50051: Address already in use; "
        f"{STOP} with --grpc-port or INFERRY_GRPC_PORT"
    )


async def test_a_bridge_names_a_port_that_is_taken(tmp_path: Path, taken: str) -> None:
    said = await refusal(tmp_path, "bridge", "--upstream", "127.0.0.1:1", "--port", taken)
    text = f"cannot listen on 127.0.0.1:{taken}: Address already in use; {STOP} with --port"
    assert said == cannot(text)


@pytest.mark.parametrize("command", [("serve",), ("bridge", "--upstream", "127.0.0.1:1")])
async def test_a_host_that_is_not_here_is_blamed_and_not_the_port(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    host = {"INFERRY_HOST": "192.0.2.1", "INFERRY_JWT_SECRET": token_urlsafe(48)}
    said = await refusal(tmp_path, *command, "--port", "0", **host)
    assert said == cannot(
        "cannot listen on '192.0.2.1': this machine has no address 192.0.2.1; "
        "name one of this machine with INFERRY_HOST"
    )


@pytest.mark.parametrize(
    ("flags", "settings", "text"),
    [
        (("--port", "70000"), {}, "--port: expected less than or equal to 65535, got 70000"),
        ((), {"INFERRY_PORT": "no"}, "INFERRY_PORT: expected a valid integer"),
        ((), {"INFERRY_LOG_LEVEL": "loud"}, "INFERRY_LOG_LEVEL: expected 'debug', "),
        (("--config", "{home}/s.toml"), {}, "port in {home}/s.toml, line 2: expected a valid"),
        (("--config", "{home}/u.toml"), {}, "{home}/u.toml, line 1: no setting is called prot; "),
        (("--config", "{home}/no.toml"), {}, "settings file {home}/no.toml: No such file or "),
        ((), {"INFERRY_CONFIG": "/no.toml"}, "directory; name another with INFERRY_CONFIG"),
    ],
)
async def test_a_wrong_setting_is_blamed_on_the_flag_the_variable_or_the_line_that_says_it(
    tmp_path: Path, flags: tuple[str, ...], settings: dict[str, str], text: str
) -> None:
    (tmp_path / "s.toml").write_text("host = 'localhost'\n  port = 'x'")
    (tmp_path / "u.toml").write_text("prot = 1")
    given = [flag.format(home=tmp_path) for flag in flags]
    status, said = await refusal(tmp_path, "serve", *given, **settings)
    assert (status, said.count("\n")) == (2, 1)
    assert text.format(home=tmp_path) in said


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
        (BEYOND, {}, f"needs a secret that is set, of 32 bytes or more: {MAKE_ONE}"),
        ((), {"INFERRY_JWT_SECRET": "short"}, f"has 5 bytes and needs 32 or more: {MAKE_ONE}"),
        ((), {"INFERRY_JWT_PUBLIC_KEY": "/no/key"}, f"/no/key: No such file or directory{KEY}"),
        ((), {"INFERRY_JWT_PUBLIC_KEY": os.devnull}, KEY),
    ],
)
async def test_a_secret_or_a_key_that_will_not_do_is_a_wrong_setting(
    tmp_path: Path, flags: tuple[str, ...], settings: dict[str, str], text: str
) -> None:
    status, said = await refusal(tmp_path, "serve", *FREE, *flags, **settings)
    assert (status, said.count("\n")) == (2, 1)
    assert text in said
