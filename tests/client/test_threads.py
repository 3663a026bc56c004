"""What is true of threads and processes alone: Ctrl-C, forks, the end of the interpreter."""

import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferry.client import Client
from inferry.v1.task_pb2 import Task
from tests.client.scripted import WITHIN_S, Scripted


def program(gateway: Scripted, code: str) -> "subprocess.Popen[str]":
    """Starts a program with a client of the gateway."""
    head = f"from inferry.client import Client\nclient = Client({gateway.address!r}, 'secret')\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WITHIN_S)
    return process.returncode, out, err


def test_threads_share_a_client(gateway: Scripted) -> None:
    with Client(gateway.address, "secret") as client, ThreadPoolExecutor(16) as pool:
        given = [{"n": n} for n in range(200)]
        assert list(pool.map(lambda one: client.run("echo", one), given)) == given
    assert gateway.streams == 1


@pytest.mark.parametrize("call", ["run('hold')", "map('hold', [{}])"])
def test_ctrl_c_cancels_the_task(gateway: Scripted, call: str) -> None:
    process = program(gateway, f"client.{call}")
    gateway.until(lambda: "task_1" in gateway.shown)
    process.send_signal(signal.SIGINT)
    status, _, err = ended(process)
    assert err.endswith("KeyboardInterrupt\n")
    assert status in (1, -signal.SIGINT, 130)
    assert gateway.tasks["task_1"].status == Task.CANCELLED


def test_ctrl_c_in_a_plain_wait_leaves_the_task_alone(gateway: Scripted) -> None:
    process = program(gateway, "client.submit('hold').result()")
    gateway.until(lambda: "task_1" in gateway.shown)
    process.send_signal(signal.SIGINT)
    assert ended(process)[2].endswith("KeyboardInterrupt\n")
    assert gateway.tasks["task_1"].status == Task.PENDING


def test_a_program_that_does_not_close_its_client_ends_all_the_same(gateway: Scripted) -> None:
    assert ended(program(gateway, "print(client.run('echo', {'a': 1}))")) == (0, "{'a': 1}\n", "")


def test_processes_that_were_forked_before_the_first_call_share_a_client(gateway: Scripted) -> None:
    code = """
    import os
    from multiprocessing import get_context
    def double(n):
        return client.run('echo', {'n': 2 * n})['n']
    with get_context('fork').Pool(3) as pool:
        print(pool.map(double, range(10)))
    child = os.fork()
    if not child:
        print(client.run('echo', {'in': 'child'}), flush=True)
        client.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(client.run('echo', {'in': 'parent'}))
    """
    status, out, err = ended(program(gateway, code))
    assert (status, out.splitlines()) == (
        0,
        [f"{[2 * n for n in range(10)]}", "{'in': 'child'}", "{'in': 'parent'}"],
    ), err


@pytest.mark.parametrize(
    "call",
    [
        "client.run('echo')",
        "Client('127.0.0.1:1', 'secret').run('echo')",
        "asyncio.run(AsyncClient('127.0.0.1:1', 'secret').run('echo'))",
    ],
)
def test_a_process_that_was_forked_later_is_told_so_and_never_hangs(
    gateway: Scripted, call: str
) -> None:
    code = f"""
    import asyncio, os
    from inferry.client import AsyncClient
    print(client.run('echo', {{'in': 'parent'}}), flush=True)
    child = os.fork()
    if not child:
        try:
            {call}
        except RuntimeError as error:
            print(str(error)[:66], flush=True)
        client.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(client.run('echo', {{'in': 'parent again'}}))
    """
    status, out, err = ended(program(gateway, code))
    assert (status, out.splitlines()) == (
        0,
        [
            "{'in': 'parent'}",
            "this process was forked from one that had called a gateway, and gR",
            "{'in': 'parent again'}",
        ],
    ), err


def test_a_token_source_that_has_to_be_waited_for_is_refused(gateway: Scripted) -> None:
    async def token() -> str:
        return "late"

    coroutine = token()
    with (
        Client(gateway.address, lambda: coroutine) as client,
        pytest.raises(TypeError, match="a token source of a synchronous client gives a str"),
    ):
        client.submit("echo")
    coroutine.close()
