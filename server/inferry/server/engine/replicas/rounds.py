"""What a replica does again and again for the company of others.

It looks who lives, buries who does not, reads what was changed of servers and pauses, takes and
gives servers so that they spread evenly, and tells how its own ones are.
"""

import asyncio

import structlog

from inferry.server.engine.company import Company
from inferry.server.engine.replicas.adoption import Adoption
from inferry.server.engine.replicas.roll import Roll
from inferry.server.engine.replicas.tidings import Tidings
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.owners import Owners
from inferry.server.fleet.record import Transport
from inferry.server.loop import Loop, wait_for
from inferry.server.replica.spread import Charge, Peer, plan
from inferry.server.replica.tenure import Tenure
from inferry.server.store import StoreError
from inferry.server.store.shared import Shared, Survey

#: Between two rounds: at least, and if nobody says that there is news.
_STEP_S, _INTERVAL_S = 0.05, 0.5

_log = structlog.get_logger(__name__)


class Rounds(Loop):
    """Goes round the replicas.

    Args:
        shared: The replicas.
        company: Is told who is there.
        roll: Follows the list of servers and the pauses.
        tidings: What is told of servers.
        adoption: Takes up what servers have that were taken over.
        fleet: The servers.
        tenure: Whether this replica may judge others.
        number: Epoch of this replica.
    """

    def __init__(
        self,
        *,
        shared: Shared,
        company: Company,
        roll: Roll,
        tidings: Tidings,
        adoption: Adoption,
        fleet: Fleet,
        tenure: Tenure,
        number: int,
    ) -> None:
        super().__init__()
        self._shared = shared
        self._company = company
        self._roll = roll
        self._tidings = tidings
        self._adoption = adoption
        self._fleet = fleet
        self._owners = Owners(fleet)
        self._tenure = tenure
        self._number = number
        self._failing = False

    async def run_once(self) -> None:
        """Goes round once; what keeps it from that is logged."""
        self._shared.stirred.clear()
        try:
            await self.go_round()
        except StoreError as error:
            if not self._failing:
                _log.warning("the other replicas cannot be seen", error=str(error))
            self._failing = True
        else:
            self._failing = False

    async def go_round(self) -> None:
        """Goes round once.

        Raises:
            StoreError: The store cannot be asked now.
        """
        survey = await self._shared.survey()
        over = any(one.over and one.number != self._number for one in survey.replicas)
        if over and self._tenure.steady:
            dead = await self._shared.bury()
            if dead:
                _log.warning("replicas have died", epochs=sorted(dead))
            survey = await self._shared.survey()
        self._company.look(survey, self._number)
        await self._roll.follow(survey)
        await self._spread(survey)
        await self._roll.listen()
        await self._tidings.exchange(survey)

    async def pause(self) -> None:
        """Waits for news of others, or a while."""
        await asyncio.sleep(_STEP_S)
        await wait_for(self._shared.stirred, _INTERVAL_S)

    async def _spread(self, survey: Survey) -> None:
        peers = [Peer(one.number, one.draining) for one in survey.replicas]
        charges = [
            Charge(
                member.record.id,
                member.record.owner,
                member.record.transport is Transport.HTTP,
                member.active,
            )
            for member in self._fleet
        ]
        others = {one.number for one in survey.replicas} - {self._number}
        self._adoption.orphans &= {one.id for one in charges if one.owner not in others}
        moves = plan(self._number, peers, charges)
        if moves.give:
            for server_id, to in (await self._shared.give(moves.give)).items():
                self._owners.turn_over(server_id, to)
        if moves.take:
            # Who is broken off may have got them all the same, and finds them in the list then.
            self._adoption.orphans |= {*moves.take}
            taken = await self._shared.take(moves.take)
            self._adoption.orphans -= {*moves.take} - {*taken}
            for server_id in taken:
                self._owners.turn_over(server_id, self._number)
        # Also what an earlier round did not come to.
        await self._adoption.adopt()
        await self._adoption.end_cut()
