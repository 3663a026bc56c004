"""The terminals of a page: its console blocks, typed into a shell, and what they print."""

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WITHIN_S = 60
#: Commands that go on until they are stopped.
LASTING = ("inferry serve", "inferry worker")
_DONE = "__done__"


@dataclass(frozen=True)
class Typed:
    """A command, and the lines that its page shows below it."""

    command: str
    shown: Sequence[str]

    def check(self, printed: Sequence[str]) -> None:
        """Looks for what is shown in what was printed: its lines, in their order."""
        rest = iter(printed)
        for line in self.shown:
            wanted = re.compile(".*".join(map(re.escape, line.split("…"))))
            assert any(wanted.fullmatch(one.rstrip()) for one in rest), (self, printed)


def read_console(page: str) -> Iterator[Typed]:
    """Reads what the console blocks of a page type, in order; a ``\\`` goes on in the next line."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            found = re.fullmatch(r"((?:.*\\\n)*.*\n)((?:.*\n)*)", part)
            assert found is not None
            yield Typed(found[1].rstrip(), found[2].splitlines())


class Terminals:
    """A shell, and a terminal for each command that lasts."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._directory = directory
        self._settings = settings
        self._shell: Process | None = None
        self._lasting: dict[str, Process] = {}

    async def type(self, typed: Typed) -> None:
        """Types a command, and checks what it prints."""
        lasting = next((name for name in LASTING if typed.command.startswith(name)), None)
        if lasting is None:
            typed.check(await self._run(typed.command))
            return
        if lasting in self._lasting:
            await _stop(self._lasting.pop(lasting))
        process = self._lasting[lasting] = await self._start(f"exec {typed.command}", last=True)
        typed.check([await _line(process) for _ in typed.shown])

    async def close(self) -> None:
        """Stops all that runs, what was started last first."""
        if self._shell is not None:
            self._shell.kill()
            await self._shell.wait()
        for process in reversed(self._lasting.values()):
            await _stop(process)

    async def _run(self, command: str) -> list[str]:
        shell = self._shell = self._shell or await self._start("exec bash 2>&1")
        assert shell.stdin is not None
        # What was printed last may lack the end of its line.
        shell.stdin.write(f"{command}\necho; echo {_DONE}\n".encode())
        lines: list[str] = []
        while (line := await _line(shell)) != f"{_DONE}\n":
            assert line, (command, lines)
            lines.append(line)
        return lines

    async def _start(self, command: str, *, last: bool = False) -> Process:
        return await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            stdin=None if last else PIPE,
            stdout=PIPE,
            stderr=None if last else STDOUT,
            cwd=self._directory,
            env=self._settings,
            limit=2**20,
        )


async def _line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode()


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(WITHIN_S):
        await process.communicate()
    assert process.returncode == 0
