"""Checks of a worker's reports: what becomes of those that were not taken, and of large ones."""

from collections.abc import Sequence

import grpc

from inferry.backend.testing.gateway import Sent
from inferry.backend.testing.streams import Connection
from inferry.cli.check.finding import BrokenContractError
from inferry.cli.check.work import Work
from inferry.cli.check.worker.holding import hold, reported
from inferry.cli.check.worker.peer import Peer
from inferry.cli.check.worker.said import finals_of

#: Chunks that a result is cut into.
_CHUNKS = 3


async def again(peer: Peer, work: Work) -> str:
    """A report that was refused for now comes again."""
    connection = await peer.stream()
    peer.gateway.again.append(True)
    sent = await reported(peer, connection, work)
    within_s = work.patience.repeated_s
    await _expect_once_more(
        peer,
        sent,
        (connection,),
        within_s,
        f"a report whose acknowledgement said `again` did not come again within {within_s:g} s",
        "keep a final report until it was acknowledged without `again`",
    )
    return "sent again"


async def resend(peer: Peer, work: Work) -> str:
    """What was not acknowledged is sent again on the next stream, under its number."""
    first = await peer.stream()
    sent = await hold(peer, work)
    peer.gateway.deaf = False
    second = await peer.cut(grpc.StatusCode.UNAVAILABLE)
    within_s = peer.limits.acknowledged_s
    await _expect_once_more(
        peer,
        sent,
        (first, second),
        within_s,
        f"a report that nobody acknowledged did not come on the next stream within {within_s:g} s",
        "keep a report until it was acknowledged, and send it again after a reconnect",
    )
    return "sent again under its number"


async def chunks(peer: Peer, work: Work) -> str:
    """A result that is too large for one message comes in chunks."""
    sent = await peer.give(work.payload, work.patience.task_s)
    await peer.end(sent, work.patience.task_s)
    whole = sent.reports[-1].result_json
    # So small that any result is too large.
    limit = max(1, len(whole) // _CHUNKS)
    before = peer.gateway.welcome.chunk_bytes
    peer.gateway.welcome.chunk_bytes = limit
    try:
        connection = await peer.cut(grpc.StatusCode.UNAVAILABLE)
        sent = await peer.give(work.payload, work.patience.task_s)
        outcome = await peer.end(sent, work.patience.task_s)
    finally:
        peer.gateway.welcome.chunk_bytes = before
    parts = [
        part
        for message in connection.messages
        for part in message.result_chunks
        if (part.attempt.task_id, part.attempt.attempt) == sent.key
    ]
    remedy = "send result_chunks before the report, none above chunk_bytes of the welcome"
    if not parts or max(len(part.data) for part in parts) > limit:
        largest = max((len(part.data) for part in parts), default=0)
        seen = f"chunk_bytes was {limit}; {len(parts)} chunks came, the largest of {largest} bytes"
        raise BrokenContractError(seen, remedy)
    if outcome.status != "COMPLETED":
        raise BrokenContractError(f"the task ended as {outcome.status}", remedy)
    await peer.cut(grpc.StatusCode.UNAVAILABLE)
    return f"{len(parts)} chunks"


async def _expect_once_more(
    peer: Peer,
    sent: Sent,
    streams: Sequence[Connection],
    within_s: float,
    seen: str,
    remedy: str,
) -> None:
    """Expects the last report of an attempt that nobody took, under the number that it had."""
    await peer.expect(lambda: sent.ended.is_set() or None, within_s, seen, remedy)
    numbers = {one.number for stream in streams for one in finals_of(stream, sent.key)}
    if len(numbers) > 1:
        raise BrokenContractError(
            f"the same report came under the numbers {', '.join(map(str, sorted(numbers)))}",
            "a report keeps its number, however often it is sent",
        )
