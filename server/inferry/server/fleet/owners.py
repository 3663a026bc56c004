"""Whose servers are: those of this replica, and what others tell of theirs."""

from collections.abc import Mapping
from dataclasses import replace

from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.told import Told, hear, tell


class Owners:
    """Turns servers over, and passes on what is told of them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def turn_over(self, server_id: str, owner: int | None) -> None:
        """Has a server be another replica's from now on, this one's, or nobody's."""
        member = self._fleet.get(server_id)
        if member is not None and member.record.owner != owner:
            self._fleet.put(replace(member.record, owner=owner))

    def admit(self, server_id: str) -> None:
        """It is known what a server has that became this replica's: it may get more, or go."""
        member = self._fleet.get(server_id)
        if member is not None and member.arriving:
            member.arriving = False
            self._fleet.claimable.set()
            if member.leaves_ms:
                self._fleet.parting.set()

    def tell(self) -> dict[str, Told]:
        """Says how this replica's servers are."""
        return {member.record.id: tell(member) for member in self._fleet.own_ones}

    def hear(self, told: Mapping[str, Told], owner: int) -> None:
        """Takes what another replica tells of its servers."""
        for server_id, one in told.items():
            member = self._fleet.get(server_id)
            if member is not None and not member.owned and member.record.owner == owner:
                hear(member, one)
