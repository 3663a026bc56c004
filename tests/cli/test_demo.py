import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
WITHIN_S = 60


async def test_the_demo_takes_a_quick_and_a_long_task_to_their_results() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, DEMO, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (process.returncode, err) == (0, b"")
    shown = out.decode()
    for word in ("COMPLETED", '{"echo": {"test": "data"}}', "100%", '{"scenes": 7}', "make serve"):
        assert word in shown
