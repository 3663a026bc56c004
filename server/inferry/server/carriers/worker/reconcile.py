"""Compares what a worker holds with what it should, and puts right what differs.

Each heartbeat carries count and hash of it; when they differ, the worker is asked for the list.
What the gateway does not know is called off. What the worker lacks that had reached it was never
taken, or is lost. So neither a lost assignment nor a forgotten one lives longer than a heartbeat.
"""

from collections.abc import Iterable

from inferry.server.carriers.worker.attempts import Attempts
from inferry.server.carriers.worker.holds import Phase, arrived, key
from inferry.server.carriers.worker.rules import REFS_LIMIT
from inferry.server.carriers.worker.worker import Worker
from inferry.server.fleet.lease import AttemptKey
from inferry.v1.worker_pb2 import WorkerHeartbeat

_NEVER_GOT = "the worker never got it"
_FORGOT = "the worker does not have it any more"


def compare(worker: Worker, heartbeat: WorkerHeartbeat) -> None:
    """Takes what a worker says that it holds."""
    session = worker.session
    if session is None:
        return
    received = heartbeat.received_total
    if heartbeat.listed:
        session.listing = False
        put_right(worker.attempts, [key(named) for named in heartbeat.held[:REFS_LIMIT]], received)
        return
    said = heartbeat.held_count, heartbeat.held_hash
    if said != worker.attempts.holds.expected(received) and not session.listing:
        worker.beat(session, list_wanted=True)


def put_right(attempts: Attempts, listed: Iterable[AttemptKey], received: int) -> None:
    """Takes the list of what a worker holds that got so many assignments on its stream."""
    # In the order of the list: what follows from it is the same in every process.
    held = dict.fromkeys(listed)
    for attempt in held:
        if attempts.holds.get(attempt) is None:
            attempts.disown(attempt)
    for attempt, hold in attempts.holds:
        if attempt in held or hold.reporting or not arrived(hold, received):
            continue
        if hold.phase in (Phase.GIVEN, Phase.UNSURE):
            attempts.give_back(attempt, _NEVER_GOT)
        elif hold.phase is Phase.TAKEN:
            attempts.lose(attempt, _FORGOT)
        else:
            attempts.forget(attempt)
