"""The command that runs somebody's backend, in a process, at a real gateway."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from inferry.backend.testing.grpc import GrpcGateway
from inferry.backend.testing.streams import Cut
from tests.cli.real import WITHIN_S, Inferry
from tests.processes import INFERRY, GatewayProcess, Running, gone, start

MODULE = """
import os

from inferry.backend import Backend, TaskContext

app = Backend("mine", 2)


@app.task("name")
async def name(payload: dict) -> str:
    return __name__


@app.task("process", executor="process")
def process(payload: dict, task: TaskContext) -> dict:
    return {"parent": os.getppid(), **payload}
"""
TO_NOBODY = ("--address", "127.0.0.1:1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module, which is the current directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "mine.py").write_text(MODULE)
    monkeypatch.chdir(folder)
    return folder


@asynccontextmanager
async def working(here: Path, *arguments: str, **settings: str) -> AsyncIterator[Running]:
    worker = await start(here.parent / "worker.log", "worker", *arguments, settings=settings)
    try:
        yield worker
    finally:
        assert await worker.stop() == 0


async def refusal(here: Path, *arguments: str, **settings: str) -> tuple[int | None, list[str]]:
    """Runs a worker that ends by itself; gives its status and what it says."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(here.parent), **settings}
    process = await asyncio.create_subprocess_exec(
        INFERRY, "worker", *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert out == b""
    return process.returncode, err.decode().splitlines()


async def test_it_works_over_grpc_in_processes_too(
    here: Path, gateway_process: GatewayProcess, inferry: Inferry
) -> None:
    where = {"INFERRY_ADDRESS": gateway_process.grpc, "INFERRY_TOKEN": gateway_process.token}
    async with working(here, "mine:app", **where) as worker:
        assert worker.words[:3] == ["inferry", "worker", "ready"]
        assert worker.words[3].startswith("id=srv_")
        assert (await inferry.run("submit", "name", "{}", "--sync")).out == '"mine"\n'
        ran = await inferry.run("submit", "process", '{"a":1}', "--sync")
        assert ran.out == f'{{"parent":{worker.pid},"a":1}}\n'


async def test_it_serves_over_http_instead(
    here: Path, gateway_process: GatewayProcess, inferry: Inferry
) -> None:
    options = ("--http", "--port", "0", "--gateway", gateway_process.rest)
    async with working(here, "mine", *options, INFERRY_TOKEN=gateway_process.token) as worker:
        assert worker.words[3].startswith("http://127.0.0.1:")
        assert worker.words[4].startswith("id=srv_")
        assert (await inferry.run("submit", "name", "{}", "--sync")).out == '"mine"\n'


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nobody:app", "there is no module nobody, neither in HERE nor installed"),
        ("mine.nobody:app", "there is no module mine.nobody, neither in HERE nor installed"),
        ("mine:other", "module mine has no attribute other; it has mine:app"),
        ("mine:os", "mine:os is of type module, not an inferry.backend.Backend; it has mine:app"),
        ("mine.py", "expected a module, mine, got its file: mine.py"),
        ("./mine:app", "expected MODULE:ATTRIBUTE, such as worker:app, got './mine'"),
    ],
)
async def test_what_is_no_backend_is_a_wrong_usage_in_one_line(
    here: Path, target: str, why: str
) -> None:
    expected = f"inferry worker cannot start: {why.replace('HERE', str(here))}"
    assert await refusal(here, target, *TO_NOBODY) == (2, [expected])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("raise ValueError('no weights')", "ValueError: no weights"),
        ("import not_installed", "ModuleNotFoundError: No module named 'not_installed'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
async def test_a_module_that_raises_is_told_with_its_own_traceback_alone(
    here: Path, line: str, why: str
) -> None:
    (here / "broken.py").write_text(f"\n{line}\n")
    status, said = await refusal(here, "broken:app", *TO_NOBODY)
    assert status == 2
    assert said[0] == "Traceback (most recent call last):"
    assert [one for one in said if one.startswith("  File ")] == [
        f'  File "{here}/broken.py", line 2, in <module>'
    ]
    assert said[-1] == f"inferry worker cannot start: module broken cannot be imported: {why}"


async def test_a_setup_that_fails_is_told(here: Path) -> None:
    failing = "\n\n@app.setup\ndef load():\n    raise ValueError('no weights')\n"
    (here / "mine.py").write_text(MODULE + failing)
    status, said = await refusal(here, "mine", *TO_NOBODY)
    expected = "inferry worker cannot start: the setup failed: ValueError: no weights"
    assert (status, said[-1]) == (1, expected)


@pytest.mark.parametrize(
    ("options", "for_what"),
    [(("--port", "1"), "--http"), (("--http", "--tls"), "gRPC")],
)
async def test_an_option_of_the_other_way_is_a_wrong_usage(
    here: Path, options: tuple[str, ...], for_what: str
) -> None:
    status, said = await refusal(here, "mine", *options)
    assert status == 2
    assert f"it is for {for_what} alone" in "".join(said)


async def test_a_gateway_that_refuses_ends_it(here: Path) -> None:
    async with GrpcGateway() as gateway:
        gateway.refusals.extend([Cut(grpc.StatusCode.UNAUTHENTICATED, "no such token")] * 5)
        options = ("--address", gateway.address, "--token", "wrong")
        status, said = await refusal(here, "mine", *options)
    text = "the gateway refuses this worker: UNAUTHENTICATED: no such token"
    assert (status, said[-1]) == (5, f"the gateway at {gateway.address} refuses: {text}")


async def test_it_keeps_trying_until_the_gateway_is_there_and_says_so(here: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        INFERRY, "worker", "mine", *TO_NOBODY, stderr=PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(WITHIN_S):
        for _ in range(2):
            line = (await process.stderr.readline()).decode()
            assert "the stream has ended: UNAVAILABLE" in line
            assert "Connection refused" in line
        process.terminate()
        assert await gone(process) == 0
