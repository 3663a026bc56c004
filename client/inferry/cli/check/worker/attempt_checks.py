"""Checks of a worker's attempts: how they are taken, reported, and stopped."""

import asyncio
from itertools import pairwise

from inferry.backend.attempt import FINAL
from inferry.cli.check.ends import long_payload
from inferry.cli.check.finding import BrokenContractError, Finding, Verdict
from inferry.cli.check.work import SkippedError, Work
from inferry.cli.check.worker.peer import Peer
from inferry.cli.check.worker.said import finals_of
from inferry.v1.worker_pb2 import AttemptCancel, AttemptRef, GatewayMessage

#: Slots of a worker that does not say how many it has.
_SLOTS = 10
#: Tasks at once that are enough to see how credit is counted.
_ENOUGH = 64


async def credit(peer: Peer, work: Work) -> str | Finding:
    """It grants what it can take, in a number that only grows."""
    connection = await peer.stream()
    within_s = work.patience.task_s
    sent = [await peer.give(work.payload, within_s)]
    before = connection.granted
    while connection.granted > connection.assigned and len(sent) < _ENOUGH:
        sent.append(await peer.give(work.payload, within_s))
    for one in sent:
        await peer.end(one, within_s)
    remedy = (
        "granted_total counts all assignments of the stream: what came so far plus what can be "
        "taken now"
    )
    await peer.expect(
        lambda: connection.granted > before or None,
        peer.limits.acknowledged_s,
        f"granted_total stayed {before} when {len(sent)} tasks had come and ended",
        remedy,
    )
    told = [one.granted_total for one in connection.messages if one.HasField("granted_total")]
    if any(later < earlier for earlier, later in pairwise(told)):
        seen = f"granted_total fell: {', '.join(map(str, told[-8:]))}"
        return Finding("credit", Verdict.WARN, seen, remedy)
    hello = connection.hello
    slots = hello.max_concurrent if hello.HasField("max_concurrent") else _SLOTS
    if connection.granted - connection.assigned > slots:
        seen = f"it grants {connection.granted - connection.assigned} and has {slots} slots"
        return Finding("credit", Verdict.WARN, seen, remedy)
    return f"granted {connection.granted}, {connection.assigned} assigned"


async def ack(peer: Peer, work: Work) -> str | Finding:
    """It acknowledges an assignment in time."""
    connection = await peer.stream()
    sent = await peer.give(work.payload, work.patience.task_s)

    def seen() -> bool | None:
        named = (one for said in connection.messages for one in said.acknowledged)
        return any((one.task_id, one.attempt) == sent.key for one in named) or None

    within_s = peer.limits.acknowledged_s
    remedy = "say acknowledged as soon as an assignment is taken: else it is given to another"
    try:
        await peer.expect(seen, within_s, f"none came within {within_s:g} s", remedy)
    except BrokenContractError as broken:
        if not sent.under_way.is_set():
            raise
        return Finding("ack", Verdict.WARN, "a report stood for it", broken.remedy)
    return "acknowledged"


async def result(peer: Peer, work: Work) -> str:
    """Work ends with a result."""
    sent = await peer.give(work.payload, work.patience.task_s)
    outcome = await peer.end(sent, work.patience.task_s)
    if outcome.status != "COMPLETED":
        raise BrokenContractError(
            f"the task ended as {outcome.status}: {outcome.error or 'without an error'}",
            "give --payload and --type what the worker can do",
        )
    return f"COMPLETED, a result of {len(sent.reports[-1].result_json):,} bytes"


async def progress(peer: Peer, work: Work) -> str | Finding:
    """Progress only grows, and none is told after the end."""
    sent = await peer.give(long_payload(work), work.patience.task_s)
    outcome = await peer.end(sent, work.patience.task_s)
    await asyncio.sleep(peer.limits.interval_s)
    told = [percent for percent, _ in outcome.progress if percent is not None]
    if not outcome.progress:
        remedy = "report PROCESSING with progress or a message now and then"
        return Finding("progress", Verdict.WARN, "none was told", remedy)
    if any(later < earlier for earlier, later in pairwise(told)):
        seen = f"it fell: {', '.join(f'{one:g}' for one in told)}"
        raise BrokenContractError(seen, "let it only grow within an attempt")
    if sent.reports[-1].status not in FINAL:
        raise BrokenContractError(
            "a report came after the final one", "say nothing of an attempt after its end"
        )
    return f"{len(outcome.progress)} reports"


async def error(peer: Peer, work: Work) -> str:
    """Work that fails says why."""
    if work.bad_payload is None:
        raise SkippedError("give --bad-payload work that ends with an error")
    sent = await peer.give(work.bad_payload, work.patience.task_s)
    outcome = await peer.end(sent, work.patience.task_s)
    if outcome.status != "FAILED":
        raise BrokenContractError(
            f"work that should fail ended as {outcome.status}", "report FAILED with error and code"
        )
    if not outcome.error:
        raise BrokenContractError("it failed without a word", "say why in error, and code")
    return f"{outcome.code or 'FAILED'}: {outcome.error[:60]}"


async def duplicate(peer: Peer, work: Work) -> str:
    """An attempt that is assigned twice runs once."""
    connection = await peer.stream()
    sent = await peer.give(long_payload(work), work.patience.task_s)
    try:
        await peer.gateway.until(
            lambda: connection.granted > connection.assigned or None, work.patience.short_s
        )
    except TimeoutError:
        raise SkippedError("give the worker a second slot: it has no credit meanwhile") from None
    connection.assigned += 1
    peer.gateway.assign(sent)
    await peer.end(sent, work.patience.task_s)
    # A second run would end about now.
    await asyncio.sleep(work.patience.listened_s)
    ends = {report.number for report in finals_of(connection, sent.key)}
    if len(ends) > 1:
        raise BrokenContractError(
            f"the same attempt came twice, and {len(ends)} ends were reported",
            "know an attempt by its task and number: run it once, report its end once",
        )
    return "ran once"


async def cancel(peer: Peer, work: Work) -> str | Finding:
    """A cancel stops the work."""
    connection = await peer.stream()
    sent = await peer.give(long_payload(work), work.patience.task_s)
    await _begun(peer, work, sent.under_way)
    await peer.gateway.cancel(sent)
    within_s = peer.limits.stopped_s
    await peer.expect(
        lambda: sent.stopped.is_set() or sent.ended.is_set() or None,
        within_s,
        f"`stopped` was not said within {within_s:g} s",
        "stop the work of a cancelled attempt and say stopped: its slot is free then",
    )
    await asyncio.sleep(work.patience.listened_s)
    if sent.outcome.status == "COMPLETED":
        raise BrokenContractError(
            "work that was cancelled completed all the same", "stop it, and drop what it returns"
        )
    if not sent.stopped.is_set():
        remedy = "say stopped instead: what is reported of a cancelled attempt does not count"
        return Finding("cancel", Verdict.WARN, f"it reported {sent.outcome.status}", remedy)
    peer.same(connection, "after a cancel")
    return "stopped"


async def not_yours(peer: Peer, _work: Work) -> str:
    """A cancel of what the worker does not have is answered."""
    connection = await peer.stream()
    message = GatewayMessage()
    unknown = AttemptRef(task_id="task_of_nobody", attempt=1)
    message.cancels.add(attempt=unknown, reason=AttemptCancel.NOT_YOURS, text="not yours")
    peer.gateway.say(message)
    within_s = peer.limits.acknowledged_s
    await peer.expect(
        lambda: any(unknown in said.stopped for said in connection.messages) or None,
        within_s,
        f"`stopped` was not said within {within_s:g} s of an attempt that it does not have",
        "say stopped at once when there is nothing to stop",
    )
    return "stopped"


async def timeout(peer: Peer, work: Work) -> str | Finding:
    """Work stops when its time is over."""
    short_s = work.patience.short_s
    sent = await peer.give_late(long_payload(work), short_s, work.patience.task_s)
    try:
        outcome = await sent.end(short_s + work.patience.grace_s)
    except TimeoutError:
        remedy = (
            "stop at timeout_ms and report TIMEOUT: the gateway ends the task, and the work "
            "would go on for nobody"
        )
        return Finding("timeout", Verdict.WARN, f"nothing came within {short_s:g} s", remedy)
    if outcome.status == "COMPLETED":
        seen = f"it completed, though it had {short_s:g} s"
        return Finding("timeout", Verdict.WARN, seen, "give --long-payload what takes longer")
    return f"{outcome.status} in time"


async def _begun(peer: Peer, work: Work, under_way: asyncio.Event) -> None:
    """Waits for a first report; one that never comes is no fault."""
    try:
        await peer.gateway.until(lambda: under_way.is_set() or None, work.patience.short_s)
    except TimeoutError:
        return
