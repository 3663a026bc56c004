"""Real gateways and mock backends, each in a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from inferry.server.access.secret import read_secret
from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import SystemClock
from tests.ports import own_port
from tests.stores import stores

INFERRY = Path(sys.executable).with_name("inferry")
#: How long a process may take to say that it is ready, and to end.
READY_WITHIN_S = 30
GONE_WITHIN_S = 30
_TOKEN_S = 86_400


async def gone(process: Process) -> int:
    """Waits for the end of a process; gives its exit status.

    What its pipes still hold is read: one that is open at the end of the loop is a mess later.
    """
    async with asyncio.timeout(GONE_WITHIN_S):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


class Running:
    """A process that said that it is ready; ``words`` are those of its ready line."""

    def __init__(self, process: Process, log: Path, ready: str) -> None:
        self._process = process
        self._log = log
        self.words = ready.split()

    @property
    def log(self) -> str:
        """All that it has written to standard error."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> int:
        """Waits for its end; gives its exit status."""
        return await gone(self._process)

    async def stop(self) -> int:
        """Lets it end in order (SIGTERM); gives its exit status."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            return await self.ended()
        except TimeoutError:
            self._process.kill()
            raise

    async def kill(self) -> None:
        """Ends it in the middle of whatever it does (SIGKILL)."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()


async def start(
    log: Path,
    *arguments: str | Path,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str | Path] = (INFERRY,),
) -> Running:
    """Starts ``inferry`` with these arguments and waits for its ready line.

    Args:
        log: Where standard error goes.
        arguments: Of the command.
        settings: Environment variables besides ``PATH``; none of the caller's reach it.
        program: What takes the arguments as ``inferry`` does.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **(settings or {})}
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *program, *arguments, stdout=PIPE, stderr=errors, env=environment
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = (await process.stdout.readline()).decode()
        assert " ready " in line, _why_not(log)
    except BaseException:
        if process.returncode is None:
            process.kill()
        await gone(process)
        raise
    return Running(process, log, line)


class GatewayProcess:
    """``inferry serve`` in a process of its own; it keeps its ports when it starts again."""

    def __init__(
        self,
        directory: Path,
        running: Running,
        token: str,
        *given: str,
        settings: Mapping[str, str] | None = None,
        program: Sequence[str | Path] = (INFERRY,),
    ) -> None:
        #: Working directory of it and of its mock backends: ``data`` and the logs.
        self.directory = directory
        #: An admin's token.
        self.token = token
        self._running = running
        self._given = given
        self._settings = settings
        self._program = program
        rest, grpc = running.words[2:]
        #: URL of its REST.
        self.rest = rest.removeprefix("rest=")
        #: ``HOST:PORT`` of its gRPC.
        self.grpc = grpc.removeprefix("grpc=")

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> str:
        return self._running.log

    @property
    def pid(self) -> int:
        return self._running.pid

    async def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        await self._running.kill()

    async def stop(self) -> int:
        """Lets it end in order; gives its exit status."""
        return await self._running.stop()

    async def restart(self) -> None:
        """Starts it again, after ``kill`` or ``stop``, with the same data on the same ports."""
        ports = _ports(self.rest.rpartition(":")[2], self.grpc.rpartition(":")[2])
        self._running = await _serve(
            self.directory, *ports, *self._given, settings=self._settings, program=self._program
        )


async def start_gateway(
    directory: Path,
    *given: str,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str | Path] = (INFERRY,),
) -> GatewayProcess:
    """Starts a gateway on ports of this process's own, with its data in ``directory``.

    Args:
        directory: For ``data`` and the logs.
        given: Further flags of ``inferry serve``.
        settings: Environment variables of it.
        program: What takes the arguments as ``inferry`` does.
    """
    store = await stores.url(directory / "data")
    if store is not None:
        # Who is killed is taken over from before long.
        short = {"INFERRY_REPLICA_LEASE_MS": "2000"}
        settings = {"INFERRY_STORE": store, **short, **(settings or {})}
    ports = _ports(str(own_port()), str(own_port()))
    running = await _serve(directory, *ports, *given, settings=settings, program=program)
    # As `inferry token` makes it, without a process that starts for it.
    configured = (settings or {}).get("INFERRY_JWT_SECRET")
    secret, now_ms = read_secret(directory / "data", configured), SystemClock().now_ms()
    token = issue_token(secret, "tester", Role.ADMIN, None, _TOKEN_S, now_ms)
    return GatewayProcess(directory, running, token, *given, settings=settings, program=program)


class MockProcess:
    """``inferry mock`` in a process of its own."""

    def __init__(self, running: Running) -> None:
        self._running = running
        #: Its URL.
        self.url = running.words[3]
        #: The server id that the gateway gave it.
        self.id = running.words[4].removeprefix("id=")

    @property
    def log(self) -> str:
        return self._running.log

    async def ended(self) -> int:
        """Waits for its end; gives its exit status."""
        return await self._running.ended()

    async def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        await self._running.kill()

    async def stop(self) -> int:
        """Lets it end in order; gives its exit status."""
        return await self._running.stop()


async def start_mock(gateway: GatewayProcess, *given: str) -> MockProcess:
    """Starts a mock backend on a free port, registered at ``gateway``; takes ``mock`` flags."""
    where = ["--port", "0", "--gateway", gateway.rest, "--token", gateway.token]
    log = gateway.directory / "mock.log"
    return MockProcess(await start(log, "mock", *where, *given))


async def _serve(
    directory: Path,
    *flags: str,
    settings: Mapping[str, str] | None,
    program: Sequence[str | Path],
) -> Running:
    log, data = directory / "gateway.log", directory / "data"
    return await start(log, "serve", "--data-dir", data, *flags, settings=settings, program=program)


def _why_not(log: Path) -> str:
    return f"no ready line; {log} says: {log.read_text()}"


def _ports(rest: str, grpc: str) -> list[str]:
    return ["--port", rest, "--grpc-port", grpc]
