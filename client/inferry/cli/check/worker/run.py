"""Checks a worker: waits for it, or starts it, and makes the checks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from secrets import token_urlsafe

from inferry.backend.testing.grpc import GrpcGateway
from inferry.cli.check.finding import Finding, Verdict
from inferry.cli.check.work import Work
from inferry.cli.check.worker.checks import check
from inferry.cli.check.worker.limits import Limits, welcome_of
from inferry.cli.check.worker.peer import Peer
from inferry.cli.check.worker.program import Program

#: How often is looked whether a command that should connect has ended instead.
_LOOK_S = 0.2


async def check_worker(
    listen: str,
    command: Sequence[str],
    task_type: str,
    work: Work,
    on_listening: Callable[[str, str], None],
    limits: Limits,
) -> AsyncIterator[Finding]:
    """Makes the checks of a worker.

    Args:
        listen: ``HOST:PORT`` for the worker's stream.
        command: Starts the worker; empty if somebody else does.
        task_type: Of the tasks that it gets.
        work: What it is to do.
        on_listening: Called with the address and the token that the worker needs.
        limits: How long it is waited for.

    Raises:
        OSError: It cannot be listened there, or there is no such command.
    """
    token = token_urlsafe(16)
    async with GrpcGateway(welcome_of(limits), listen=listen) as gateway:
        on_listening(gateway.address, token)
        program = None
        if command:
            environment = {"INFERRY_ADDRESS": gateway.address, "INFERRY_TOKEN": token}
            program = Program(command, environment)
            await program.start()
        peer = Peer(gateway, token, task_type, limits, program)
        try:
            if program is not None and not await _arrived(gateway, program, limits.started_s):
                ended = program.status is not None
                why = f"ended with status {program.status}" if ended else "opened no stream"
                remedy = "dial INFERRY_ADDRESS with INFERRY_TOKEN: WorkerService.Connect, a hello"
                yield Finding("hello", Verdict.FAIL, f"the command {why}", remedy)
                return
            await gateway.until(lambda: gateway.connection, None)
            async with peer.beating():
                async for finding in check(peer, work):
                    yield finding
        finally:
            if program is not None:
                await program.stop()


async def _arrived(gateway: GrpcGateway, program: Program, within_s: float) -> bool:
    """Waits for the first stream of a command; False if it does not come."""
    arrived = asyncio.ensure_future(gateway.until(lambda: gateway.connection, within_s))
    try:
        while not arrived.done() and program.status is None:
            await asyncio.wait({arrived}, timeout=_LOOK_S)
        return arrived.done() and arrived.exception() is None
    finally:
        arrived.cancel()
