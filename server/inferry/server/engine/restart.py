"""What becomes of the attempts that were open when the gateway last stopped."""

from inferry.server.engine.tasks import Engine
from inferry.server.fleet.fleet import Fleet
from inferry.server.store import Store
from inferry.server.task.failure import Failure
from inferry.server.task.record import AttemptOutcome, Status

_CUT = Failure(AttemptOutcome.AMBIGUOUS, "the gateway stopped during the call")
_GONE = Failure(AttemptOutcome.LOST, "the server was taken out of the list")


async def settle_open_attempts(engine: Engine, store: Store, fleet: Fleet) -> None:
    """Ends the attempts whose call was cut; to be called once, before new ones begin.

    An asynchronous attempt may go on at its server and report; it is left to its clock, unless the
    server never said a word and another run does no harm.
    """
    for record in await store.held():
        unheard = record.status is Status.PENDING and record.spec.idempotent
        if fleet.get(record.server_id or "") is None:
            # The gateway stopped between the end of the server and that of its attempts.
            await engine.answer(record.spec.id, record.attempt, _GONE)
        elif not record.spec.asynchronous or unheard:
            await engine.answer(record.spec.id, record.attempt, _CUT)
