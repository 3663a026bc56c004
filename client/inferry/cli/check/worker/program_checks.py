"""Checks of how a worker ends, which only whoever started it can make."""

import grpc

from inferry.backend.testing.streams import Cut
from inferry.cli.check.finding import BrokenContractError, Finding, Verdict
from inferry.cli.check.work import Work
from inferry.cli.check.worker.peer import Peer
from inferry.cli.check.worker.said import heartbeats_of

#: Refusals that no worker should wait for.
_REFUSALS = 99


async def goodbye(peer: Peer, _work: Work) -> str | Finding:
    """It says that it leaves when it is told to stop."""
    program, connection = peer.started(), await peer.stream()
    await peer.expect(
        lambda: heartbeats_of(connection) or None,
        peer.limits.stopped_s,
        "it says nothing",
        "send heartbeats",
    )
    program.terminate()
    if not await program.ended(peer.limits.given_up_s):
        raise BrokenContractError(
            f"it did not end within {peer.limits.given_up_s:g} s of SIGTERM",
            "end at SIGTERM when what runs has ended",
        )
    if not connection.left.is_set():
        remedy = "say goodbye, and close the stream when nothing is left: else it counts as lost"
        return Finding("goodbye", Verdict.WARN, "it ended without a word", remedy)
    return f"said at SIGTERM; it ended with status {program.status}"


async def refusal(peer: Peer, _work: Work) -> str | Finding:
    """It gives up where its token is refused, after some tries."""
    program, gateway = peer.started(), peer.gateway
    refused = Cut(grpc.StatusCode.UNAUTHENTICATED, "refused by inferry check")
    gateway.refusals.extend([refused] * _REFUSALS)
    before = gateway.streams
    await program.start()
    ended = await program.ended(peer.limits.given_up_s)
    tries = gateway.streams - before
    if not ended:
        raise BrokenContractError(
            f"it was refused {tries} times and still tries", "give up after five, and say so"
        )
    if tries == 1:
        remedy = "try five times: a gateway may not know a new key yet"
        return Finding("refusal", Verdict.WARN, "it gave up at the first refusal", remedy)
    return f"it gave up after {tries} refusals, with status {program.status}"
