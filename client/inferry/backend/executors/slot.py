"""One child process after the other: a slot of ``executor="process"``."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import spawn
from typing import Any

from inferry.backend import words
from inferry.backend.attempt import AttemptKey
from inferry.backend.errors import SetupError
from inferry.backend.executors import Job, frames
from inferry.v1.task_pb2 import TaskUpdate

_log = logging.getLogger(__name__)

_CHILD = "inferry.backend.executors.child"
_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
#: Before a process is started again that did not come as far as its first job.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class Slot:
    """Keeps one child process alive, and gives it one job at a time.

    Args:
        work: Handlers by type, and the setup: pickled, which names them.
        device: For ``CUDA_VISIBLE_DEVICES``.
        grace_s: How long cancelled work may take to end before the process is killed.
        changed: Called when a process became usable, or ceased to be.
    """

    def __init__(
        self, work: bytes, device: str | None, grace_s: float, changed: Callable[[], None]
    ) -> None:
        self._work = work
        self._device = device
        self._grace_s = grace_s
        self._changed = changed
        self._job: Job | None = None
        self._pipe: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._killing: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether the process can work, or does."""
        return self._pipe is not None and self._killing is None

    @property
    def key(self) -> AttemptKey | None:
        """What it works on."""
        return None if self._job is None else self._job.key

    async def start(self) -> None:
        """Starts the process and whatever follows it; returns when its setup is done.

        Raises:
            SetupError: It failed.
        """
        self._started = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.create_task(self._keep())
        await self._started

    def run(self, job: Job) -> None:
        """Gives the process a job."""
        self._job = job
        self._tell("run", job.assignment, job.handler.type, job.result_limit)

    def cancel(self) -> None:
        """Asks the process to stop its job, and kills it if it does not."""
        if self._job is not None and self._killing is None:
            self._tell("cancel", self._job.key)
            self._killing = asyncio.get_running_loop().call_later(self._grace_s, self._kill)
            self._changed()

    async def close(self) -> None:
        """Kills the process; no other one follows."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    def _tell(self, *message: Any) -> None:
        if self._pipe is not None:
            self._pipe.write(frames.pack(message))

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                ready = await self._live()
            except OSError as error:
                # Such as too many processes or open files: there may be room later.
                ready = False
                self._note_start(SetupError(f"no process can be started: {error}"))
                _log.error("no process can be started: %s", error)
            if ready:
                pause_s = _FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _live(self) -> bool:
        """Lives through one process; False if it did not come as far as to be ready."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        with theirs:
            gone = self._spawn(theirs.fileno())
        ready = False
        try:
            writer.write(frames.pack((_preparation(), self._work)))
            message = await frames.receive(reader)
            ready = message == ("ready",)
            if ready:
                self._pipe = writer
                self._note_start(None)
                self._changed()
                await self._listen(reader)
        finally:
            self._pipe = None
            writer.close()
            self._kill()
            status = await asyncio.shield(gone)
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            self._end(status)
        if not ready:
            why = message[1] if message else _how(status)
            _log.error("a process of the backend cannot start: %s", why)
            self._note_start(SetupError(f"a process of the backend cannot start: {why}"))
        return ready

    def _note_start(self, error: SetupError | None) -> None:
        if self._started is None or self._started.done():
            return
        if error is None:
            self._started.set_result(None)
        else:
            self._started.set_exception(error)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (message := await frames.receive(reader)) is not None:
            word, content = message
            job = self._job
            if job is None:
                continue
            if word == "said":
                job.latest.say(content)
            else:
                self._leave()
                job.done(None if content is None else TaskUpdate.FromString(content))
                self._changed()

    def _leave(self) -> None:
        self._job = None
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None

    def _end(self, status: int) -> None:
        job = self._job
        self._leave()
        if job is not None:
            job.done(None if job.cancelled.is_set() else words.process_died(_how(status)))
        self._changed()

    def _spawn(self, descriptor: int) -> "asyncio.Future[int]":
        """Starts a process; gives what its end sets to its status."""
        environment = dict(os.environ)
        if self._device is not None:
            environment[_VISIBLE_DEVICES] = self._device
        command = [sys.executable, "-m", _CHILD, str(descriptor)]
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of ours
            command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[descriptor]
        )
        self._process = process
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[int] = loop.create_future()

        def wait() -> None:
            status = process.wait()
            loop.call_soon_threadsafe(_settle, gone, status)

        threading.Thread(target=wait, name="inferry-child", daemon=True).start()
        return gone


def _settle(gone: "asyncio.Future[int]", status: int) -> None:
    if not gone.done():
        gone.set_result(status)


def _preparation() -> dict[str, Any]:
    """Gives what a spawned process needs to import what its parent has imported."""
    preparation = spawn.get_preparation_data("inferry-child")
    # A secret of ``multiprocessing`` that cannot be pickled, and is not needed here.
    preparation.pop("authkey", None)
    return preparation


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"
