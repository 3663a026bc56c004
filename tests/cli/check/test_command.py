"""The command that checks a backend, against the mock backend on a real socket."""

import asyncio
import subprocess
import sys
from pathlib import Path

from inferry.backend.http import Place, Server
from inferry.cli.mock.backend import mock_backend

WITHIN_S = 20
INFERRY = Path(sys.executable).parent / "inferry"


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
    assert out.splitlines()[-1] == "10 pass"


async def test_a_backend_that_fails_gives_status_1_and_what_to_mend() -> None:
    status, out, _ = await inferry("check", "http://127.0.0.1:1")
    assert status == 1
    assert "FAIL  health" in out
    assert "to mend: is the backend running, and reachable at http://127.0.0.1:1?" in out


async def test_an_address_that_cannot_be_listened_on_is_a_wrong_usage() -> None:
    status, _, err = await inferry("check", "http://127.0.0.1:1", "--callback-host", "192.0.2.1")
    assert status == 2
    assert err.startswith("cannot listen for callbacks: ")
