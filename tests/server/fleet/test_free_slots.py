"""Which server has the slot for the next task of a round."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.free_slots import FreeSlots
from inferry.server.fleet.record import Load
from inferry.server.fleet.routing import Rule, rule_of
from tests.server.fleets import START_MS, fleet_of, server

CAPABILITIES = [(), ("echo",), ("echo", "ocr"), ("ocr",), ("echo", "gpu")]
ROUTES = ["echo", "ocr", "echo\ngpu", "nothing"]


def spread(fleet: Fleet, count: int, route: str = "echo") -> Counter[str]:
    """Takes slots for tasks of a route, and counts them by the servers' names."""
    slots = FreeSlots(fleet, START_MS)
    taken = (slots.take(route) for _ in range(count))
    return Counter(one.removeprefix("srv_") for one in taken if one is not None)


def test_slots_are_taken_where_the_load_is_least() -> None:
    fleet, _ = fleet_of(server("a"), server("b"))
    fleet.reserve("srv_a", 4)
    assert spread(fleet, 6) == {"a": 1, "b": 5}


def test_what_waits_inside_a_server_counts_as_load() -> None:
    fleet, _ = fleet_of(server("a"), server("b"))
    fleet.observe("srv_a", Load(0, 0, 0, 5), "")
    assert spread(fleet, 5) == {"b": 5}


def test_a_degraded_server_comes_last() -> None:
    fleet, _ = fleet_of(server("a", slots=100), server("b", slots=2))
    fleet.observe("srv_a", None, "timeout")
    assert spread(fleet, 3) == {"b": 2, "a": 1}


def test_routes_share_the_slots_of_a_server() -> None:
    fleet, _ = fleet_of(server("a", "echo", "ocr", slots=3))
    slots = FreeSlots(fleet, START_MS)
    assert [slots.suit(route) for route in ("echo", "ocr", "asr")] == [True, True, False]
    assert [slots.take(route) for route in ("echo", "ocr", "asr")] == ["srv_a", "srv_a", None]
    assert [slots.take(route) for route in ("ocr", "echo")] == ["srv_a", None]
    assert not slots.suit("ocr")


@given(
    st.lists(
        st.tuples(st.sampled_from(CAPABILITIES), st.integers(1, 4), st.integers(0, 5)), max_size=5
    ),
    st.lists(st.sampled_from(ROUTES), max_size=30),
)
def test_no_slot_is_taken_twice_or_stays_free_while_it_suits(
    servers: list[tuple[tuple[str, ...], int, int]], routes: list[str]
) -> None:
    fleet, _ = fleet_of(
        *(server(str(n), *has, slots=slots) for n, (has, slots, _) in enumerate(servers))
    )
    for number, (_, _, active) in enumerate(servers):
        fleet.reserve(f"srv_{number}", active)
    slots = FreeSlots(fleet, START_MS)
    for route in routes:
        able = {member.record.id for member in fleet if rule_of(member, route) is Rule.ELIGIBLE}
        suits, taken = slots.suit(route), slots.take(route)
        assert suits is (taken is not None) is bool(able)
        assert taken is None or taken in able
        if taken is not None:
            fleet.reserve(taken, 1)
