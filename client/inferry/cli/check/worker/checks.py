"""The checks of a worker, in the order of their table (docs/workers.md)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

from inferry.cli.check.finding import Finding
from inferry.cli.check.table import findings
from inferry.cli.check.work import Work
from inferry.cli.check.worker import attempt_checks as attempts
from inferry.cli.check.worker import end_checks as ends
from inferry.cli.check.worker import program_checks as programs
from inferry.cli.check.worker import report_checks as reports
from inferry.cli.check.worker import stream_checks as streams
from inferry.cli.check.worker.peer import Peer

Check = Callable[[Peer, Work], Awaitable[str | Finding]]


def check(peer: Peer, work: Work) -> AsyncIterator[Finding]:
    """Makes all checks."""
    return findings({name: partial(_made, one) for name, one in _CHECKS.items()}, peer, work)


async def _made(one: Check, peer: Peer, work: Work) -> str | Finding:
    """Makes a check, and leaves nothing of it to the next one."""
    try:
        return await one(peer, work)
    finally:
        await peer.settle()


_CHECKS: Mapping[str, Check] = {
    "hello": streams.hello,
    "credit": attempts.credit,
    "ack": attempts.ack,
    "result": attempts.result,
    "progress": attempts.progress,
    "error": attempts.error,
    "duplicate": attempts.duplicate,
    "cancel": attempts.cancel,
    "not yours": attempts.not_yours,
    "timeout": attempts.timeout,
    "heartbeat": streams.heartbeat,
    "list": streams.lists,
    "unknown": streams.unknown,
    "draining": streams.draining,
    "slow": streams.slow,
    "again": reports.again,
    "resend": reports.resend,
    "chunks": reports.chunks,
    "ends": ends.ends,
    "not held": ends.not_resumed,
    "reconnect": ends.reconnect,
    "silence": ends.silence,
    "goodbye": programs.goodbye,
    "refusal": programs.refusal,
}
