"""The command that checks a backend, against the mock backend and a worker on real sockets."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferry.backend.http import Place, Server
from inferry.cli.mock.backend import mock_backend

WITHIN_S = 20
INFERRY = Path(sys.executable).parent / "inferry"
WORKER = Path(__file__).parents[3] / "examples" / "worker" / "worker.py"


async def inferry(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        INFERRY, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_mock_backend_passes() -> None:
    mock = mock_backend("mock", ["t"], 4)
    server = Server(mock, Place("127.0.0.1", 0, None), drain_timeout=0)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.wait_ready, WITHIN_S)
    try:
        status, out, err = await inferry(
            "check",
            server.url,
            "--long-payload",
            '{"seconds":1.5,"steps":3}',
            "--bad-payload",
            '{"end":"fail"}',
        )
    finally:
        server.hurry()
        await asyncio.to_thread(server.wait, WITHIN_S)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "11 pass"


async def test_a_check_that_was_not_made_is_not_to_be_mended() -> None:
    mock = mock_backend("mock", ["t"], 4)
    server = Server(mock, Place("127.0.0.1", 0, None), drain_timeout=0)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.wait_ready, WITHIN_S)
    try:
        _, out, _ = await inferry("check", server.url, "--type", "t")
    finally:
        server.hurry()
        await asyncio.to_thread(server.wait, WITHIN_S)
    assert "skip  progress" in out
    assert "to make it: give --long-payload" in out
    assert "to mend" not in out


async def test_a_backend_that_fails_gives_status_1_and_what_to_mend() -> None:
    status, out, _ = await inferry("check", "http://127.0.0.1:1")
    assert status == 1
    assert "FAIL  health" in out
    assert "to mend: is the backend running, and reachable at http://127.0.0.1:1?" in out


async def test_an_address_that_cannot_be_listened_on_is_a_wrong_usage() -> None:
    status, _, err = await inferry("check", "http://127.0.0.1:1", "--callback-host", "192.0.2.1")
    assert status == 2
    assert err.startswith("cannot check: ")


@pytest.mark.parametrize(
    ("options", "for_what"),
    [
        (("http://127.0.0.1:1", "--listen", "127.0.0.1:0"), "worker"),
        (("http://127.0.0.1:1", "--", "true"), "worker"),
        (("worker", "--callback-port", "1"), "a URL"),
    ],
)
async def test_an_option_of_the_other_kind_is_a_wrong_usage(
    options: tuple[str, ...], for_what: str
) -> None:
    status, _, err = await inferry("check", *options)
    assert status == 2
    assert f"it is for {for_what} alone" in err


async def test_an_address_that_no_stream_can_be_taken_on_is_a_wrong_usage() -> None:
    status, _, err = await inferry("check", "worker", "--listen", "192.0.2.1:0")
    assert status == 2
    assert err.startswith("cannot check: cannot listen on 192.0.2.1:0")


async def test_a_command_that_is_not_there_is_a_wrong_usage() -> None:
    status, _, err = await inferry("check", "worker", "--", "/no/such/command")
    assert (status, err) == (2, "cannot check: no such file or directory: /no/such/command\n")


async def test_a_command_that_ends_without_a_stream_fails() -> None:
    status, out, _ = await inferry("check", "worker", "--", "sh", "-c", "exit 3")
    assert status == 1
    assert "FAIL  hello      the command ended with status 3" in out
    assert "to mend: dial INFERRY_ADDRESS with INFERRY_TOKEN" in out


async def test_the_worker_of_the_examples_passes_and_is_stopped() -> None:
    status, out, err = await inferry(
        "check",
        "worker",
        "--payload",
        '{"steps":1,"seconds":0.01}',
        "--long-payload",
        '{"steps":10,"seconds":0.5}',
        "--bad-payload",
        '{"steps":0,"fail":"no"}',
        "--",
        sys.executable,
        str(WORKER),
    )
    assert status == 0, out
    assert out.splitlines()[-1] == "24 pass", out
    assert "refused by inferry check" in err


async def test_a_worker_that_somebody_else_starts_is_told_what_it_needs() -> None:
    checking = await asyncio.create_subprocess_exec(
        INFERRY, "check", "worker", stdout=subprocess.PIPE
    )
    assert checking.stdout is not None
    line = (await checking.stdout.readline()).decode()
    assert line.startswith("inferry check listens: INFERRY_ADDRESS=127.0.0.1:")
    needed = dict(word.split("=") for word in line.split()[3:])
    worker = await asyncio.create_subprocess_exec(
        sys.executable, WORKER, env={**os.environ, **needed}
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            line = (await checking.stdout.readline()).decode()
        assert line.startswith("pass  hello      example-worker")
    finally:
        worker.kill()
        await worker.wait()
        checking.kill()
        await checking.wait()
