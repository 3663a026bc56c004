"""What the commands say where not everything can be shown, and what they cannot read."""

import asyncio
import json
import os
import subprocess
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.cli.real import WITHIN_S, Ran
from tests.processes import INFERRY, GatewayProcess, MockProcess

TYPE = "test-processing"
#: Letters that cp1252 has, and some that it has not.
SHOWN = "naïve … Пётр 🛶"

TERMINALS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "utf-8": {"LC_ALL": "C"},
}


async def run(encoding: str, *arguments: str | bytes, **settings: str | bytes) -> Ran:
    environment: dict[str, str | bytes] = {"PATH": os.environ["PATH"], **TERMINALS[encoding]}
    process = await asyncio.create_subprocess_exec(
        INFERRY, *arguments, stdout=PIPE, stderr=PIPE, env={**environment, **settings}
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(encoding), err.decode(encoding))


def access(gateway: GatewayProcess) -> dict[str, str]:
    return {"INFERRY_ADDRESS": gateway.grpc, "INFERRY_TOKEN": gateway.token}


@pytest.mark.parametrize(
    "command", ["get", "cancel", "retry", "explain", "attempts", "stream-url", "drain", "resume"]
)
async def test_an_error_says_what_came_and_moves_no_cursor(
    gateway_process: GatewayProcess, command: str
) -> None:
    ran = await run("utf-8", command, "x\x1b[31m\u202e", **access(gateway_process))
    assert (ran.status, ran.out) == (5, "")
    assert r"x\u001b[31m\u202e (NOT_FOUND)" in ran.err


async def test_what_is_out_of_the_list_is_named_without_what_a_terminal_obeys(
    gateway_process: GatewayProcess,
) -> None:
    ran = await run("utf-8", "deregister", "x\x1b[31m\n", **access(gateway_process))
    assert (ran.status, ran.out) == (0, "x [31m  is out of the list\n"), ran.err


@pytest.mark.parametrize("encoding", TERMINALS)
async def test_what_a_terminal_cannot_show_is_escaped_and_json_stays_json(
    encoding: str, gateway_process: GatewayProcess, mock_process: MockProcess
) -> None:
    where = access(gateway_process)
    ascii_only = json.dumps(SHOWN)[1:-1]
    payload = json.dumps({"result": SHOWN, "steps": 1}, ensure_ascii=False)
    for how in ("--sync", "--follow"):
        ran = await run(encoding, "submit", TYPE, payload, "--label", f"who={SHOWN}", how, **where)
        assert (ran.status, json.loads(ran.out)) == (0, SHOWN), ran.err
    listed = await run(encoding, "list", "--json", **where)
    assert json.loads(listed.out)["tasks"][0]["labels"] == {"who": SHOWN}
    task_id = json.loads(listed.out)["tasks"][0]["id"]
    shown = (await run(encoding, "get", task_id, **where)).out
    assert (SHOWN if encoding == "utf-8" else ascii_only[-12:]) in shown

    payload = json.dumps({"end": "fail", "error": SHOWN}, ensure_ascii=False)
    failed = await run(encoding, "submit", TYPE, payload, "--sync", **where)
    assert failed.status == 1
    assert (SHOWN if encoding == "utf-8" else ascii_only[-12:]) in failed.err


@pytest.mark.parametrize("encoding", TERMINALS)
@pytest.mark.parametrize("command", ["--help", "serve", "submit"])
async def test_help_can_be_shown_everywhere(encoding: str, command: str) -> None:
    ran = await run(encoding, *dict.fromkeys((command, "--help")))
    assert (ran.status, ran.err) == (0, "")
    assert "inferry" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        (b"get", b"\xff"),
        (b"submit", TYPE.encode(), b'{"a":"\xe9"}'),
        (b"submit", TYPE.encode(), b"--label", b"who=\xe9"),
        (b"--token", b"\xff", b"list"),
        (b"token", b"--sub", b"\xe9"),
        (b"serve", b"--host", b"\xff"),
        (b"\xff",),
    ],
)
async def test_an_argument_that_is_no_utf_8_is_wrong_usage(arguments: tuple[bytes, ...]) -> None:
    ran = await run("utf-8", *arguments)
    number = next(n for n, one in enumerate(arguments, 1) if not one.isascii())
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"argument {number} is no UTF-8: inferry takes no other text\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INFERRY_TOKEN", b"\xff"),
        ("INFERRY_TOKEN", "ä".encode()),
        ("INFERRY_TOKEN", b"a\nb"),
        ("INFERRY_ADDRESS", b"\xff"),
    ],
)
async def test_a_variable_that_cannot_be_sent_is_wrong_usage(name: str, value: bytes) -> None:
    ran = await run("utf-8", "get", "task_1", **{name: value})
    assert (ran.status, ran.out) == (2, "")
    assert f"--{name.removeprefix('INFERRY_').lower()}" in ran.err
    assert "Traceback" not in ran.err


async def test_an_argument_may_be_in_any_script(
    gateway_process: GatewayProcess, mock_process: MockProcess, tmp_path: Path
) -> None:
    file = tmp_path / "Пётр.json"
    file.write_text(json.dumps({"result": SHOWN}, ensure_ascii=False), encoding="utf-8")
    ran = await run("utf-8", "submit", TYPE, f"@{file}", "--sync", **access(gateway_process))
    assert (ran.status, json.loads(ran.out)) == (0, SHOWN), ran.err


@pytest.mark.parametrize("redirect", [">&-", ">&- 2>&- <&-", ">/dev/full"])
@pytest.mark.parametrize("command", ["list", "cancel --type t", "--help"])
def test_closed_and_full_places_to_write_to_give_no_traceback(command: str, redirect: str) -> None:
    """There is no gateway; what counts is that nothing breaks in the middle."""
    line = f"exec {INFERRY} --address 127.0.0.1:1 --token t {command} {redirect}"
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert ran.returncode in {0, 1, 4}
    assert "Traceback" not in ran.stderr
    assert "Error:" not in ran.stderr


def test_a_full_disk_behind_the_output_is_told_in_one_line() -> None:
    line = f"exec {INFERRY} --version >/dev/full"
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "inferry cannot go on: [Errno 28] No space left on device\n"
