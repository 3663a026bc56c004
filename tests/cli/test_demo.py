import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
WITHIN_S = 60


async def test_the_demo_takes_a_quick_and_a_long_task_to_their_results() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, DEMO, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (process.returncode, err) == (0, b"")
    shown = out.decode()
    for word in ("COMPLETED", '{"echo": {"test": "data"}}', "100%", '{"scenes": 7}', "make serve"):
        assert word in shown


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_demo_that_is_stopped_says_so_and_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, DEMO, stdout=PIPE, stderr=PIPE, env=environment
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        shown = await process.stdout.readuntil(b"A long task")
        url = shown.decode().split()[2]
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().strip() == "the demo was stopped, and leaves nothing behind"
    assert left_in(tmp_path) == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
