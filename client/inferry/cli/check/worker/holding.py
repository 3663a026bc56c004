"""Has a worker hold an attempt, and looks at what it says of that."""

from inferry.backend.attempt import AttemptKey
from inferry.backend.testing.gateway import Sent
from inferry.backend.testing.streams import Connection
from inferry.cli.check.finding import BrokenContractError
from inferry.cli.check.work import Work
from inferry.cli.check.worker.peer import Peer
from inferry.cli.check.worker.said import finals_of, heartbeats_of
from inferry.v1.worker_pb2 import WorkerHeartbeat
from inferry.wire.held import held_hash


async def hold(peer: Peer, work: Work) -> Sent:
    """Has the worker hold an attempt: its end is reported, and not acknowledged."""
    connection = await peer.stream()
    peer.gateway.deaf = True
    return await reported(peer, connection, work)


async def reported(peer: Peer, connection: Connection, work: Work) -> Sent:
    """Gives the worker an attempt whose end it is to report; what becomes of that is not said."""
    sent = await peer.give(work.payload, work.patience.task_s)
    await peer.expect(
        lambda: finals_of(connection, sent.key) or None,
        work.patience.task_s,
        "no final report came",
        "report the end of each attempt",
    )
    return sent


async def says(peer: Peer, connection: Connection, held: set[AttemptKey]) -> None:
    """Waits for a heartbeat with the right count and hash."""
    begun = len(heartbeats_of(connection))
    expected = (len(held), held_hash(held), connection.assigned)

    def told(said: WorkerHeartbeat) -> tuple[int, int, int]:
        return said.held_count, said.held_hash, said.received_total

    def right() -> bool | None:
        return any(told(one) == expected for one in heartbeats_of(connection)[begun:]) or None

    try:
        await peer.gateway.until(right, peer.limits.stopped_s)
    except TimeoutError:
        last = heartbeats_of(connection)[begun:][-1:]
        if not last:
            raise BrokenContractError(
                f"none came within {peer.limits.stopped_s:g} s",
                "send one each heartbeat_interval_ms of the welcome",
            ) from None
        names = ("held_count", "held_hash", "received_total")
        wrong = [
            f"{name} is {got}, right is {want}"
            for name, got, want in zip(names, told(last[0]), expected, strict=True)
            if got != want
        ]
        raise BrokenContractError(
            "; ".join(wrong),
            "count what is held until its final report was acknowledged or `stopped` was said, "
            "and all assignments of this stream",
        ) from None
