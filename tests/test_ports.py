import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.ports import BLOCK, OwnPorts

ROOT = Path(__file__).parents[1]
OTHER = """
import sys
from pathlib import Path
from tests.ports import BLOCK, OwnPorts
ports = OwnPorts(Path(sys.argv[1]))
print(*(ports.take() for _ in range(BLOCK)), flush=True)
sys.stdin.read()
"""


def all_of(ports: OwnPorts) -> set[int]:
    return {ports.take() for _ in range(BLOCK)}


def test_two_processes_have_no_port_in_common_while_both_live(tmp_path: Path) -> None:
    ours = OwnPorts(tmp_path)
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        theirs = set(map(int, other.stdout.readline().split()))
        assert theirs
        assert not all_of(ours) & theirs
        other.kill()
    ours.close()


def test_a_block_that_is_left_is_the_next_one_s(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = OwnPorts(tmp_path)
        for _ in range(219):
            stack.enter_context(closing(OwnPorts(tmp_path)))
        with pytest.raises(OSError, match="all 220 blocks of ports are taken"):
            OwnPorts(tmp_path)
        before = all_of(first)
        first.close()
        again = stack.enter_context(closing(OwnPorts(tmp_path)))
        assert all_of(again) & before


def test_a_port_on_which_somebody_listens_is_passed_over(tmp_path: Path) -> None:
    ports = OwnPorts(tmp_path)
    taken = ports.take()
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in {ports.take() for _ in range(2 * BLOCK)}
    ports.close()
