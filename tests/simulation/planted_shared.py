"""Bugs to plant in what gateways do that share a database, for the simulation to find."""

from collections.abc import Sequence

from tests.simulation.planted import BUGS, Bug
from tests.simulation.setup import POSTGRES, Setup

_ALONE = (
    Bug(
        "a COMMIT whose answer was lost is sent again",
        "store.postgres.store:PostgresStore._come_back",
        "if await self._look_up() else None",
        "if (await self._look_up(), False)[1] else None",
    ),
    Bug(
        "a COMMIT that did not arrive is taken for done",
        "store.postgres.store:PostgresStore._come_back",
        "if await self._look_up() else None",
        "if (await self._look_up(), True)[1] else None",
    ),
    Bug(
        "what was read of an end may be another round's",
        "engine.reader:Reader.ended",
        "if now.seq == record.seq:",
        "if True:",
    ),
)
_SEVERAL = (
    Bug(
        "who was buried goes on writing",
        "store.postgres.writer:Writer._begin",
        'up_to_date = await db.execute(begin) == "SELECT 1"',
        'up_to_date = await db.execute(begin) != ""',
    ),
    Bug(
        "who stood still calls servers all the same",
        "carriers.http.process:Dispatcher._answer",
        "if not self._tenure.holds:",
        "if False:",
    ),
    Bug(
        "a tenure lasts longer than its lease",
        "replica.tenure:Tenure.renewed",
        "begun_s + self._lease_s * (1 - _MARGIN)",
        "begun_s + self._lease_s * 10",
    ),
    Bug(
        "servers are taken from who is not marked dead",
        "store.postgres.shared:PostgresShared.bury",
        'await fetch(db, QUERIES["bury"], self.number)',
        'await fetch(db, "SELECT number FROM replicas WHERE NOT dead AND number <> $1 '
        'AND lease_until < clock_timestamp()", self.number)',
    ),
    Bug(
        "nobody buries the dead",
        "engine.replicas.rounds:Rounds.go_round",
        "if over and self._tenure.steady:",
        "if False:",
    ),
    Bug(
        "a server gets tasks of who does not look after it",
        "store.postgres.rooms:read_queue",
        "if foreign is not None:",
        "if False:",
    ),
    Bug(
        "servers do not spread",
        "replica.spread:plan",
        "Plan(tuple(taken), _given(me, peers, charges, called))",
        "Plan(tuple(taken), {})",
    ),
    Bug(
        "what others committed is not heard",
        "engine.hearing:Hearing.heard",
        "latest = {one.event.task_id: one.record for one in logged}",
        "latest = {}",
    ),
    Bug(
        "what servers have that are taken over is not taken up",
        "engine.replicas.adoption:Adoption._take_slots",
        "self._ledger.adopt(record)",
        "pass",
    ),
    Bug(
        "a cancel elsewhere does not reach who looks after the server",
        "engine.hearing:Hearing.heard",
        "ended.append(Ended(_as_of(one), number, holder))",
        "pass",
    ),
    Bug(
        "tasks of others that memory has no room for are forgotten",
        "engine.refill:Refill._count",
        "self._backlog.recount(await self._store.waiting_counts())",
        "pass",
    ),
    Bug(
        "a watch of one task goes on at who begins anew",
        "engine.reader:Reader.watch",
        "if signal.dismissed:",
        "if False:",
    ),
)


def bugs_of(setup: Setup) -> Sequence[Bug]:
    """Lists the bugs that are to be found with a setup."""
    if setup.store != POSTGRES:
        return BUGS
    return _SEVERAL if setup.replicas > 1 else _ALONE


#: Of all setups.
ALL_BUGS = (*BUGS, *_ALONE, *_SEVERAL)
