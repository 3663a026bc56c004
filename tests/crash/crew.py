"""Workers on streams, each in a process of its own behind a proxy, and what is done to them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.crash.cutter import Cutter, running_cutter
from tests.crash.gateways import Gateways
from tests.crash.history import Run

#: Attempts that one takes at once.
_SLOTS = 100
#: Messages that pass before a stream is cut.
_MESSAGES = 12

_ROOT = Path(__file__).parents[2]


class Harm(StrEnum):
    """What is done to a worker."""

    #: SIGKILL; another process comes under its name.
    KILL = "a worker killed"
    #: SIGSTOP for longer than a stream and a lease last.
    FREEZE = "a worker frozen"
    #: Its stream is cut between two messages.
    CUT = "a stream cut"


class StreamedWorker:
    """One of them.

    Args:
        name: Its own.
        token: A backend's.
        address: Where it dials.
        directory: For its record and its log.
    """

    def __init__(self, name: str, token: str, address: str, directory: Path) -> None:
        self.name = name
        self._address = address
        self._token = token
        self._record = directory / f"{name}.runs"
        self._log = directory / f"{name}.log"
        self._process: Process | None = None
        self._thawing: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts its process."""
        given = self._address, self._token, self.name, str(_SLOTS), str(self._record)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.crash.streamed_worker", *given),
                stderr=log,
                cwd=_ROOT,
                env={"PATH": os.environ["PATH"], "HOME": str(self._log.parent)},
            )

    async def kill(self) -> None:
        """Ends its process in the middle of whatever it does."""
        self.thaw()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()

    def freeze(self, seconds: float) -> None:
        """Stops its process for a while."""
        if self._process is None or self._process.returncode is not None or self._thawing:
            return
        self._process.send_signal(signal.SIGSTOP)
        self._thawing = asyncio.get_running_loop().call_later(seconds, self.thaw)

    def thaw(self) -> None:
        """Lets it go on."""
        if self._thawing is not None:
            self._thawing.cancel()
            self._thawing = None
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGCONT)

    async def restore(self) -> None:
        """Has it run well, whatever was done to it, and whatever it did."""
        self.thaw()
        if self._process is None or self._process.returncode is not None:
            await self.start()

    def runs(self) -> Iterator[Run]:
        """Gives what it began."""
        if self._record.exists():
            for line in self._record.read_text().splitlines():
                task_id, attempt = line.split()
                yield Run(task_id, int(attempt), self.name, refused=False, streamed=True)


class Crew:
    """All of them.

    Args:
        workers: They, and what each dials through.
        random: Draws what is done to them.
    """

    def __init__(self, workers: dict[StreamedWorker, Cutter], random: Random) -> None:
        self.workers = workers
        self._random = random

    async def harm(self, frozen_s: float) -> Harm:
        """Does something to one of them; tells what. One that is frozen is so for so long."""
        random = self._random
        worker, harm = random.choice(list(self.workers)), random.choice(list(Harm))
        if harm is Harm.KILL:
            await worker.kill()
            await worker.start()
        elif harm is Harm.FREEZE:
            await worker.restore()
            worker.freeze(frozen_s)
        else:
            await worker.restore()
            upwards = random.random() < 0.5
            self.workers[worker].cut_after(random.randint(1, _MESSAGES), upwards=upwards)
        return harm

    async def restore(self) -> None:
        """Has all of them run well."""
        for worker in self.workers:
            await worker.restore()

    def runs(self) -> list[Run]:
        """Gives what they began."""
        return [run for worker in self.workers for run in worker.runs()]


@asynccontextmanager
async def running_crew(gateways: Gateways, count: int, random: Random) -> AsyncIterator[Crew]:
    """Runs so many workers until the block ends."""
    async with AsyncExitStack() as stack:
        workers = {}
        for number in range(count):
            cutter = await stack.enter_async_context(running_cutter(gateways.grpc))
            name = f"streamed-{number}"
            worker = StreamedWorker(name, gateways.token, cutter.address, gateways.directory)
            stack.push_async_callback(worker.kill)
            await worker.start()
            workers[worker] = cutter
        yield Crew(workers, random)
