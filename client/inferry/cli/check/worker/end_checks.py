"""Checks of the ends of streams: each means another one."""

import asyncio

import grpc

from inferry.backend.attempt import AttemptKey
from inferry.backend.testing.streams import Connection, Cut
from inferry.cli.check.ends import long_payload
from inferry.cli.check.finding import BrokenContractError, Finding, Verdict
from inferry.cli.check.work import Work
from inferry.cli.check.worker.holding import hold, says
from inferry.cli.check.worker.limits import SILENT
from inferry.cli.check.worker.peer import Peer
from inferry.v1.worker_pb2 import GatewayMessage, Reconnect

_ENDS = (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


async def ends(peer: Peer, work: Work) -> str:
    """Whatever ends a stream, another one goes on with what the worker holds."""
    sent = await hold(peer, work)
    for code in _ENDS:
        given = peer.gateway.resume_token
        _expect_resumed(await peer.cut(code), given, sent.key, f"after {code.name}")
    return f"another stream after {', '.join(code.name for code in _ENDS)}"


async def not_resumed(peer: Peer, work: Work) -> str:
    """When the gateway does not let it go on, it stops what it has."""
    sent = await peer.give(long_payload(work), work.patience.task_s)
    await peer.expect(
        lambda: sent.under_way.is_set() or None,
        peer.limits.acknowledged_s,
        "it told no progress",
        "give --long-payload what tells its progress",
    )
    peer.gateway.resumes = False
    connection = await peer.cut(grpc.StatusCode.UNAVAILABLE)
    await says(peer, connection, set())
    await asyncio.sleep(work.patience.listened_s)
    if sent.outcome.status == "COMPLETED":
        raise BrokenContractError(
            "work of before completed, though the welcome said that it was not resumed",
            "stop all of it when `resumed` is false: it runs elsewhere",
        )
    return "stopped"


async def reconnect(peer: Peer, work: Work) -> str | Finding:
    """It opens another stream when it is told to, and not before."""
    connection = await peer.stream()
    sent = await hold(peer, work)
    given, after_s = peer.gateway.resume_token, peer.limits.reconnect_s
    loop = asyncio.get_running_loop()
    began = loop.time()
    said = Reconnect(after_ms=round(1_000 * after_s), reason="checked")
    peer.gateway.say(GatewayMessage(reconnect=said))
    await _ended_or_followed(peer, connection, after_s + SILENT * peer.limits.interval_s)
    stayed = peer.gateway.connection is connection and not connection.ended.is_set()
    # A gateway ends the old one soon after.
    connection.outgoing.put(Cut(grpc.StatusCode.OK))
    found = await peer.stream(connection)
    if stayed:
        remedy = "open another stream after after_ms: the gateway that says so is about to stop"
        return Finding("reconnect", Verdict.WARN, "it stayed until the stream was ended", remedy)
    if loop.time() - began < after_s:
        raise BrokenContractError(
            f"it came back sooner than after {after_s:g} s", "wait for after_ms"
        )
    _expect_resumed(found, given, sent.key, "after a reconnect")
    return "another stream, in time"


async def silence(peer: Peer, _work: Work) -> str:
    """It gives a stream up on which the gateway says nothing."""
    connection = await peer.stream()
    peer.silent = True
    within_s = 2 * SILENT * peer.limits.interval_s
    if not await _ended_or_followed(peer, connection, within_s):
        raise BrokenContractError(
            f"it stays on a stream that is silent for {within_s:g} s",
            "open another stream after three intervals without a message: pings do not count",
        )
    peer.silent = False
    await peer.stream(connection)
    return "another stream"


async def _ended_or_followed(peer: Peer, connection: Connection, within_s: float) -> bool:
    """Waits until the worker leaves a stream; False if it stays."""
    try:
        await peer.gateway.until(
            lambda: connection.ended.is_set() or peer.gateway.connection is not connection or None,
            within_s,
        )
    except TimeoutError:
        return False
    return True


def _expect_resumed(connection: Connection, given: str, held: AttemptKey, when: str) -> None:
    hello = connection.hello
    if hello.resume_token != given:
        raise BrokenContractError(
            f"the hello {when} has another resume token than the last welcome",
            "keep the resume_token of each welcome, and give it with the next hello",
        )
    if held not in {(one.task_id, one.attempt) for one in hello.held}:
        raise BrokenContractError(
            f"the hello {when} does not name what the worker holds",
            "list in `held` what is at work and what was not acknowledged",
        )
