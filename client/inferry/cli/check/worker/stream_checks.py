"""Checks of a worker's stream while it lives: what the worker says of itself, and hears."""

import asyncio

from inferry.cli.check.finding import BrokenContractError, Finding, Verdict
from inferry.cli.check.work import Work
from inferry.cli.check.worker.holding import hold, says
from inferry.cli.check.worker.limits import SILENT
from inferry.cli.check.worker.peer import Peer
from inferry.cli.check.worker.said import heartbeats_of
from inferry.v1.worker_pb2 import GatewayHeartbeat, GatewayMessage

#: A field that no message has: number 1,000, a text.
_UNKNOWN = b"\xc2\x3e\x07unknown"


async def hello(peer: Peer, _work: Work) -> str | Finding:
    """It says who it is, in the first message."""
    connection = await peer.stream()
    said = connection.hello
    if not said.name:
        raise BrokenContractError(
            "the first message has no hello with a name", "say hello first, with a name"
        )
    if said.protocol_version != 1:
        raise BrokenContractError(
            f"protocol_version is {said.protocol_version}", "say protocol_version 1"
        )
    if connection.token != peer.token:
        raise BrokenContractError(
            "the stream came without the token",
            "send it as metadata: authorization: Bearer TOKEN",
        )
    if said.resume_token:
        raise BrokenContractError(
            "it resumes at a gateway that it never was at",
            "give the resume token of the last welcome alone",
        )
    if not said.capabilities:
        return Finding(
            "hello", Verdict.WARN, f"{said.name} takes every type", "name its capabilities"
        )
    return f"{said.name}, {len(said.capabilities)} capabilities, {said.sdk or 'no sdk named'}"


async def heartbeat(peer: Peer, work: Work) -> str:
    """It says in each interval that it is alive, and what it holds."""
    connection = await peer.stream()
    interval_s = peer.limits.interval_s
    sent = await hold(peer, work)
    await says(peer, connection, {sent.key})
    seen = len(heartbeats_of(connection))
    await peer.expect(
        lambda: len(heartbeats_of(connection)) >= seen + 2 or None,
        (SILENT + 0.5) * interval_s,
        f"it does not come each {interval_s:g} s",
        "send one each heartbeat_interval_ms of the welcome",
    )
    peer.gateway.hear_what_was_said()
    await says(peer, connection, set())
    return "in time, with the right count and hash"


async def lists(peer: Peer, work: Work) -> str:
    """It lists what it holds when it is asked to."""
    connection = await peer.stream()
    sent = await hold(peer, work)
    peer.gateway.say(GatewayMessage(heartbeat=GatewayHeartbeat(list=True)))
    said = await peer.expect(
        lambda: next((one for one in heartbeats_of(connection) if one.listed), None),
        peer.limits.acknowledged_s,
        "no list came when the gateway asked for it",
        "answer a heartbeat with `list` at once by one with `held` and `listed`",
    )
    listed = {(one.task_id, one.attempt) for one in said.held}
    if listed != {sent.key}:
        raise BrokenContractError(
            f"the list has {len(listed)} attempts; right is the one that it holds",
            "an attempt is held until its final report was acknowledged",
        )
    return "listed at once"


async def draining(peer: Peer, work: Work) -> str:
    """It stays while an operator drains it, and works again afterwards."""
    connection = await peer.stream()
    peer.gateway.say(GatewayMessage(draining=True))
    seen = len(heartbeats_of(connection))
    await peer.expect(
        lambda: len(heartbeats_of(connection)) > seen or connection.ended.is_set() or None,
        SILENT * peer.limits.interval_s,
        "it falls silent",
        "stay, with heartbeats: an operator may resume it",
    )
    peer.gateway.say(GatewayMessage(draining=False))
    await peer.done(work.payload, work.patience.task_s)
    peer.same(connection, "when it was drained and resumed")
    return "it stays, and works again"


async def unknown(peer: Peer, work: Work) -> str:
    """It passes over what it does not know."""
    connection = await peer.stream()
    message = GatewayMessage(heartbeat=GatewayHeartbeat())
    message.heartbeat.MergeFromString(_UNKNOWN)
    message.MergeFromString(_UNKNOWN)
    peer.gateway.say(GatewayMessage.FromString(_UNKNOWN))
    peer.gateway.say(message)
    peer.gateway.say(GatewayMessage())
    await peer.done(work.payload, work.patience.task_s)
    peer.same(connection, "at fields that it does not know")
    return "passed over"


async def slow(peer: Peer, work: Work) -> str:
    """A gateway that reads slowly for a while is waited for."""
    connection = await peer.stream()
    sent = await peer.give(work.payload, work.patience.task_s)
    connection.reading.clear()
    await asyncio.sleep(2 * peer.limits.interval_s)
    connection.reading.set()
    await peer.end(sent, work.patience.task_s)
    peer.same(connection, "while the gateway read nothing")
    return "waited for"
