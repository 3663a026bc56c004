"""Which replica looks after which server. Pure.

All replicas see the same table and plan the same moves; each makes those that are its own. Only the
owner gives a server away, and only what has no owner that lives is taken, so two that saw different
tables do no harm and agree after the next look. Servers that are called spread evenly, with as few
moves as that takes. A worker is looked after where its stream is: it moves by itself, and only what
a dead replica leaves of it is taken up.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Peer(NamedTuple):
    """A replica that lives."""

    #: Its epoch.
    number: int
    #: Whether it is about to stop, and gives all away.
    draining: bool = False


class Charge(NamedTuple):
    """A server that somebody has to look after."""

    id: str
    #: Epoch of its replica, which may live no more; None for nobody.
    owner: int | None
    #: Whether it is called at its URL; a worker is not.
    called: bool = True
    #: Attempts that it has, as far as that is known here.
    active: int = 0


class Plan(NamedTuple):
    """What one replica is to do."""

    #: Servers to take that nobody looks after.
    take: Sequence[str]
    #: Servers to give away, each with to whom.
    give: Mapping[str, int]


def plan(me: int, peers: Collection[Peer], charges: Collection[Charge]) -> Plan:
    """Tells what a replica is to do so that all servers are looked after, evenly.

    Args:
        me: Its epoch.
        peers: All replicas that live, itself included.
        charges: All servers.
    """
    takers = sorted(peer.number for peer in peers if not peer.draining)
    if not takers:
        return Plan((), {})
    living = {peer.number for peer in peers}
    called = Counter(dict.fromkeys(takers, 0))
    called.update(one.owner for one in charges if one.called and one.owner is not None)
    called = Counter({number: called[number] for number in takers})
    dialled = Counter(dict.fromkeys(takers, 0))
    taken: list[str] = []
    for one in sorted(charges, key=lambda charge: charge.id):
        if one.owner not in living:
            counts = called if one.called else dialled
            least = min(takers, key=lambda number: (counts[number], number))
            counts[least] += 1
            if least == me:
                taken.append(one.id)
    return Plan(tuple(taken), _given(me, peers, charges, called))


def _given(
    me: int, peers: Collection[Peer], charges: Collection[Charge], called: Mapping[int, int]
) -> dict[str, int]:
    """Tells what a replica gives to whom once all that nobody looked after is taken."""
    leaving = sorted(peer.number for peer in peers if peer.draining)
    held = Counter(one.owner for one in charges if one.called)
    least, over = divmod(sum(called.values()) + sum(held[one] for one in leaving), len(called))
    # Those that have most keep the odd ones: nothing moves for nothing.
    order = sorted(called, key=lambda number: (-called[number], number))
    wanted = {number: least + (at < over) for at, number in enumerate(order)}
    free = [one for one in order for _ in range(wanted[one] - called[one])]
    spare = {one: held[one] for one in leaving}
    spare |= {one: max(0, called[one] - wanted[one]) for one in order}
    begin = 0
    for giver, count in spare.items():
        if giver == me:
            mine = (one for one in charges if one.called and one.owner == me)
            idlest = sorted(mine, key=lambda charge: (charge.active, charge.id))
            places = free[begin : begin + count]
            return {one.id: to for one, to in zip(idlest, places, strict=False)}
        begin += count
    return {}
