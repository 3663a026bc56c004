"""Servers spread evenly over the replicas that live, with as few moves as that takes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.replica.spread import Charge, Peer, plan

_PEERS = st.lists(
    st.builds(Peer, st.integers(1, 8), st.booleans()), unique_by=lambda peer: peer.number
)
_OWNER = st.none() | st.integers(1, 10)
_CHARGES = st.lists(
    st.builds(
        Charge,
        st.integers(0, 60).map("srv_{:02}".format),
        _OWNER,
        st.booleans(),
        st.integers(0, 3),
    ),
    unique_by=lambda charge: charge.id,
    max_size=40,
)


def moved(peers: list[Peer], charges: list[Charge]) -> list[Charge]:
    """Has each replica make its moves; nobody takes what another one takes, too."""
    owners: dict[str, int] = {}
    for peer in peers:
        moves = plan(peer.number, peers, charges)
        for server_id in moves.take:
            assert server_id not in owners
            owners[server_id] = peer.number
        for server_id, to in moves.give.items():
            assert server_id not in owners
            owners[server_id] = to
    return [one._replace(owner=owners.get(one.id, one.owner)) for one in charges]


def counts(peers: list[Peer], charges: list[Charge]) -> dict[int, int]:
    held = Counter(one.owner for one in charges if one.called)
    return {peer.number: held[peer.number] for peer in peers}


@given(_PEERS, _CHARGES)
def test_all_that_are_called_are_spread_evenly_over_those_that_stay(
    peers: list[Peer], charges: list[Charge]
) -> None:
    after = moved(peers, charges)
    staying = [peer for peer in peers if not peer.draining]
    if not staying:
        assert after == charges
        return
    numbers = counts(staying, after).values()
    assert max(numbers) - min(numbers) <= 1
    assert sum(numbers) == sum(one.called for one in charges)


@given(_PEERS, _CHARGES)
def test_after_the_moves_there_is_nothing_more_to_move(
    peers: list[Peer], charges: list[Charge]
) -> None:
    after = moved(peers, charges)
    for peer in peers:
        assert plan(peer.number, peers, after) == plan(peer.number, peers, moved(peers, after))
        moves = plan(peer.number, peers, after)
        assert not moves.take
        assert not moves.give


@given(_PEERS, _CHARGES)
def test_only_the_own_ones_are_given_and_only_what_nobody_has_is_taken(
    peers: list[Peer], charges: list[Charge]
) -> None:
    owners = {one.id: one.owner for one in charges}
    living = {peer.number for peer in peers}
    staying = {peer.number for peer in peers if not peer.draining}
    for peer in peers:
        moves = plan(peer.number, peers, charges)
        assert all(owners[server_id] not in living for server_id in moves.take)
        assert all(owners[server_id] == peer.number for server_id in moves.give)
        assert set(moves.give.values()) <= staying - {peer.number}
        assert not (peer.draining and moves.take)


@given(_PEERS, _CHARGES)
def test_no_more_are_moved_than_it_takes(peers: list[Peer], charges: list[Charge]) -> None:
    staying = [peer for peer in peers if not peer.draining]
    if not staying:
        return
    living = {peer.number for peer in peers}
    after = {one.id: one.owner for one in moved(peers, charges)}
    given_away = [one for one in charges if one.owner in living and after[one.id] != one.owner]
    # What has to go: all of those that leave, and what is beyond an even share.
    total = sum(one.called for one in charges)
    held = counts(staying, charges)
    share = total / len(staying)
    surplus = sum(max(0, number - int(share)) for number in held.values())
    leaving = sum(one.called and one.owner in living and one.owner not in held for one in charges)
    assert len(given_away) <= leaving + surplus
    assert all(one.called for one in given_away)


def test_a_replica_that_joins_gets_the_idlest() -> None:
    peers = [Peer(1), Peer(2)]
    charges = [Charge(f"srv_{n}", 1, active=n % 3) for n in range(6)]
    assert plan(1, peers, charges).give == {"srv_0": 2, "srv_3": 2, "srv_1": 2}
    assert plan(2, peers, charges) == ((), {})


def test_what_a_dead_replica_had_is_taken_by_those_that_have_fewest() -> None:
    peers = [Peer(2), Peer(3)]
    charges = [Charge("srv_a", 1), Charge("srv_b", 1), Charge("srv_c", 2), Charge("srv_d", None)]
    assert plan(2, peers, charges).take == ("srv_b",)
    assert plan(3, peers, charges).take == ("srv_a", "srv_d")


def test_workers_stay_where_they_are_and_are_taken_up_only_after_a_death() -> None:
    charges = [Charge(f"srv_{n}", 1, called=False) for n in range(4)]
    assert plan(1, [Peer(1), Peer(2)], charges) == ((), {})
    assert plan(2, [Peer(2), Peer(3)], charges).take == ("srv_0", "srv_2")


def test_who_is_about_to_stop_gives_all_away() -> None:
    peers = [Peer(1, draining=True), Peer(2), Peer(3)]
    charges = [Charge(f"srv_{n}", 1) for n in range(3)] + [Charge("srv_3", 2)]
    assert Counter(plan(1, peers, charges).give.values()) == {2: 1, 3: 2}


def test_the_last_one_keeps_what_it_has() -> None:
    assert plan(1, [Peer(1, draining=True)], [Charge("srv_a", 1), Charge("srv_b", None)]) == (
        (),
        {},
    )
