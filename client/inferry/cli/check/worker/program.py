"""The command that starts a worker, run by whoever checks it."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence

#: How long it may take to end once it was told to.
_END_S = 10.0


class Program:
    """Runs a command with the gateway's address and a token in its environment.

    Args:
        command: The command and its arguments.
        environment: What its environment has beside that of this process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._process: Process | None = None

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Starts it; what it prints goes to standard error, for the table is on the other one.

        Raises:
            OSError: There is no such command.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                env={**os.environ, **self._environment},
                # Ctrl-C is for the checker, which stops it and all that it started.
                start_new_session=True,
            )
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise OSError(f"{why}: {self._command[0]}") from None

    def terminate(self) -> None:
        """Tells it to stop, in order."""
        self._signal(signal.SIGTERM)

    async def ended(self, within_s: float) -> bool:
        """Waits for its end; tells whether it came in time."""
        if self._process is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._process.wait()
        return self._process.returncode is not None

    async def stop(self) -> None:
        """Stops it: in order, or else by force."""
        self.terminate()
        if not await self.ended(_END_S):
            self._signal(signal.SIGKILL)
            await self.ended(_END_S)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
