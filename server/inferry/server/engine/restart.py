"""How a gateway takes up what it finds: the time, and the attempts that were open."""

from collections.abc import Iterable

import structlog

from inferry.server.clock import SteadyClock
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.tasks import Engine
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.record import Transport
from inferry.server.store import Store
from inferry.server.task.failure import Failure
from inferry.server.task.record import AttemptOutcome, Status, TaskRecord

_CUT = Failure(AttemptOutcome.AMBIGUOUS, "the gateway stopped during the call")
_GONE = Failure(AttemptOutcome.LOST, "the server was taken out of the list")

#: The store may be so much ahead of the machine's clock, and nobody needs to know.
_AHEAD_MS = 1_000

_log = structlog.get_logger(__name__)


async def take_up_time(store: Store, clock: SteadyClock) -> None:
    """Goes on from where time stood when the gateway stopped; to be called before all else."""
    latest_ms = await store.latest_ms()
    ahead_ms = latest_ms - clock.now_ms()
    if ahead_ms >= _AHEAD_MS:
        _log.warning("the store is ahead of the machine's clock", by_s=ahead_ms / 1000)
    clock.reach(latest_ms)


async def stop_again(store: Store, ledger: Ledger, since_ms: int) -> None:
    """Goes on with stopping what was stopped since a time; to be called before new attempts begin.

    These attempts keep their slots meanwhile: nobody knows whether their servers were told.
    """
    for task_id, stopped in await store.stopped(since_ms):
        ledger.stop_again(task_id, stopped)


async def end_cut_attempts(engine: Engine, records: Iterable[TaskRecord], fleet: Fleet) -> None:
    """Ends those open attempts whose call was cut; to be called before new ones begin.

    An asynchronous attempt may go on at its server and report; it is left to its timeouts, unless
    the server never said a word and another run does no harm. What a worker has goes on in any
    case.
    """
    for record in records:
        unheard = record.status is Status.PENDING and record.spec.idempotent
        member = fleet.get(record.server_id or "")
        if member is not None and member.record.transport is Transport.GRPC:
            continue
        if member is None:
            # The gateway stopped between the end of the server and that of its attempts.
            await engine.answer(record.spec.id, record.attempt, _GONE)
        elif not record.spec.asynchronous or unheard:
            await engine.answer(record.spec.id, record.attempt, _CUT)
